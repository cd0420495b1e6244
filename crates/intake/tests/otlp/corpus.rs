//! The bodies that fuzzing starts from: made for it, and kept beside the targets.

use std::path::PathBuf;

fn folder() -> PathBuf {
    PathBuf::from(concat!(env!("CARGO_MANIFEST_DIR"), "/../../fuzz/corpus"))
}

/// All of them, by name.
pub(crate) fn all() -> Vec<(String, Vec<u8>)> {
    let mut found = Vec::new();
    for target in ["traces_protobuf", "traces_json", "logs"] {
        for entry in std::fs::read_dir(folder().join(target)).unwrap() {
            let path = entry.unwrap().path();
            found.push((path.display().to_string(), std::fs::read(&path).unwrap()));
        }
    }
    found.sort();
    assert!(found.len() >= 12, "{}", found.len());
    found
}

/// Writes the bodies in protobuf anew from those in JSON. Run with
/// `cargo test -p uplift-intake --test otlp write_the_corpus -- --ignored`.
#[test]
#[ignore = "writes files"]
fn write_the_corpus() {
    use opentelemetry_proto::tonic::collector::logs::v1::ExportLogsServiceRequest;
    use opentelemetry_proto::tonic::collector::trace::v1::ExportTraceServiceRequest;
    use prost::Message;

    for (from, to) in [("traces_json", "traces_protobuf"), ("logs", "logs")] {
        for entry in std::fs::read_dir(folder().join(from)).unwrap() {
            let path = entry.unwrap().path();
            if path.extension().is_none_or(|extension| extension != "json") || path.to_str().unwrap().contains("odd")
            {
                continue;
            }
            let text = std::fs::read_to_string(&path).unwrap();
            let bytes = if from == "logs" {
                serde_json::from_str::<ExportLogsServiceRequest>(&text).unwrap().encode_to_vec()
            } else {
                serde_json::from_str::<ExportTraceServiceRequest>(&text).unwrap().encode_to_vec()
            };
            let name = path.with_extension("pb");
            std::fs::write(folder().join(to).join(name.file_name().unwrap()), bytes).unwrap();
        }
    }
}
