//! Trial: what happens around the evidence. In reading order: [`mod@unit`] (tasks become units), [`exposure`] (which arm
//! they were in), [`baseline`] (history before the start), [`covariates`] and [`forecast`] (what it predicts),
//! [`preflight`] (what can be seen at all), [`ramp`] (how the share grows). Which arm a unit gets is a pure function of
//! its name, in `uplift_model::trial`.

pub mod baseline;
pub mod covariates;
pub mod exposure;
pub mod forecast;
pub mod preflight;
pub mod ramp;
pub mod unit;
