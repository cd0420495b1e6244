//! Quality of decisions by simulation. In reading order: [`scenario`] (the truths), [`world`] (how tasks come and end),
//! [`replicate`] (one trial from start to verdict), [`score`] (many trials, counted).

pub mod replicate;
pub mod scenario;
pub mod score;
pub mod world;
