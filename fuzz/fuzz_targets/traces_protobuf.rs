//! Spans in protobuf.
#![no_main]

#[path = "../check.rs"]
mod check;

use uplift_intake::otlp::{Encoding, OtlpContext, Signal, decode};
use uplift_model::Time;
use uplift_model::policy::{IntakePolicy, OtlpPolicy};

libfuzzer_sys::fuzz_target!(|body: &[u8]| {
    let (policy, intake) = (OtlpPolicy::default(), IntakePolicy::default());
    let received_at = Time::from_micros(1_798_761_600_000_000);
    let context = OtlpContext { received_at, policy: &policy, intake: &intake, prices: &[] };
    for (signal, encoding) in [(Signal::Traces, Encoding::Protobuf)] {
        if let Ok(export) = decode(signal, encoding, body, &context) {
            check::check(&export, &context);
        }
    }
});
