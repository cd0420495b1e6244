//! Statistics: pure functions on numbers, without nouns. In reading order: [`normal`] and [`beta`] (special functions
//! that keep their digits in the far tails), [`sums`] (what a stratum remembers), [`mixture`] and [`conditional`] (the
//! e-processes), [`combine`], [`allocation`], [`elond`], then the fixed-sample tests [`fixed`], [`exact`], [`ranks`],
//! [`sequential`] and [`interval`], and [`regression`].
//!
//! Nothing here panics or answers NaN: where the data cannot say anything, evidence is 1 (logarithm 0) and a p-value
//! is 1.

pub mod allocation;
pub mod beta;
pub mod combine;
pub mod conditional;
pub mod elond;
pub mod exact;
pub mod fixed;
pub mod interval;
pub mod mixture;
pub mod normal;
pub mod ranks;
pub mod regression;
pub mod sequential;
pub mod sums;
