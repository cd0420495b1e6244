//! Bodies that real instrumentations sent, where they are at hand.

use std::io::Read;
use std::path::{Path, PathBuf};

use crate::common::{Setting, data, lines};
use uplift_intake::otlp::{Encoding, Export, Signal, decode};

fn files(folder: &Path, suffix: &str) -> Vec<PathBuf> {
    let mut files: Vec<PathBuf> = std::fs::read_dir(folder)
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .filter(|path| path.to_str().is_some_and(|path| path.ends_with(suffix) && !path.ends_with("INDEX.json")))
        .collect();
    files.sort();
    files
}

fn name(path: &Path) -> &str {
    path.file_name().and_then(|name| name.to_str()).and_then(|name| name.split('.').next()).unwrap()
}

fn read(path: &Path, encoding: Encoding) -> Export {
    let mut bytes = std::fs::read(path).unwrap();
    if path.extension().is_some_and(|extension| extension == "gz") {
        let mut unpacked = Vec::new();
        flate2::read::GzDecoder::new(bytes.as_slice()).read_to_end(&mut unpacked).unwrap();
        bytes = unpacked;
    }
    decode(Signal::Traces, encoding, &bytes, &Setting::default().context()).unwrap()
}

#[test]
fn what_was_captured() {
    let Some(folder) = data("captured") else { return };
    for path in files(&folder, ".json") {
        let export = read(&path, Encoding::Json);
        assert_eq!((export.rejected, export.notes.as_slice()), (0, &[][..]), "{}", path.display());
        insta::assert_snapshot!(format!("captured_{}", name(&path)), lines(&export));
    }
}

#[test]
fn protobuf_says_the_same_as_its_json_twin() {
    let Some(folder) = data("captured") else { return };
    let mut twins = 0;
    for path in files(&folder, ".json") {
        let packed = path.with_extension("pb.gz");
        let binary = if packed.exists() { packed } else { path.with_extension("pb") };
        assert_eq!(read(&binary, Encoding::Protobuf), read(&path, Encoding::Json), "{}", path.display());
        twins += 1;
    }
    assert!(twins > 20, "{twins}");
}

#[test]
fn agents_on_kubernetes() {
    let Some(folder) = data("agentevals") else { return };
    for path in files(&folder, ".otlp.json") {
        let export = read(&path, Encoding::Json);
        assert_eq!((export.rejected, export.notes.as_slice()), (0, &[][..]), "{}", path.display());
        insta::assert_snapshot!(format!("agentevals_{}", name(&path)), lines(&export));
    }
}

#[test]
fn other_kits() {
    let Some(folder) = data("langfuse") else { return };
    let all: Vec<String> = files(&folder, ".json").iter().map(|path| lines(&read(path, Encoding::Json))).collect();
    insta::assert_snapshot!("langfuse", all.join("\n"));
}
