//! Where lines come from: files and standard input, plain or gzip, events or saved telemetry, told apart by their first
//! bytes.

use std::fs::File;
use std::io::{self, Cursor, Read};
use std::path::{Path, PathBuf};

use anyhow::{Context, bail};
use flate2::read::MultiGzDecoder;
use indicatif::ProgressBar;
use uplift_intake::otlp::Encoding;
use uplift_intake::otlp::file::{self, HEAD_BYTES};

/// Bytes that are looked at before any is handed on: enough, unpacked, to tell what they are.
const LOOKED_AT: u64 = 64 << 10;
/// What files in protobuf are called, gzip or not; their content alone is not always certain.
const PROTOBUF_NAMES: [&str; 4] = [".pb", ".binpb", ".pb.gz", ".binpb.gz"];
/// What every gzip stream begins with.
const GZIP_MAGIC: [u8; 2] = [0x1f, 0x8b];
/// Stands for standard input among file names.
const STDIN: &str = "-";

/// A file to import, or standard input.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Source {
    path: PathBuf,
}

/// A source that has been opened, before anything is unpacked.
pub(crate) struct Opened {
    /// The bytes as they are, counted by the progress bar.
    pub(crate) bytes: Box<dyn Read + Send>,
    /// Whether they are gzip.
    pub(crate) gzip: bool,
    /// How they are written, if they are saved telemetry; if not, they are events.
    pub(crate) otlp: Option<Encoding>,
}

impl Source {
    /// The source that a user's argument names.
    pub(crate) fn new(argument: &Path) -> Self {
        Self { path: argument.to_owned() }
    }

    /// Whether it can be read once only.
    pub(crate) fn is_stdin(&self) -> bool {
        self.path.as_os_str() == STDIN
    }

    /// What to call it.
    pub(crate) fn name(&self) -> String {
        if self.is_stdin() { "standard input".to_owned() } else { self.path.display().to_string() }
    }

    /// Its size in bytes, where that is known beforehand.
    pub(crate) fn size(&self) -> Option<u64> {
        if self.is_stdin() {
            None
        } else {
            self.path.metadata().ok().filter(std::fs::Metadata::is_file).map(|meta| meta.len())
        }
    }

    /// Checks that it can be opened, so that a wrong name is told before anything is done.
    pub(crate) fn check(&self) -> anyhow::Result<()> {
        if self.is_stdin() {
            return Ok(());
        }
        if self.path.is_dir() {
            bail!("{} is a folder: name the files in it", self.name());
        }
        File::open(&self.path).map(drop).with_context(|| format!("cannot open {}", self.name()))
    }

    /// Opens it.
    pub(crate) fn open(&self, progress: &ProgressBar) -> anyhow::Result<Opened> {
        let raw: Box<dyn Read + Send> = if self.is_stdin() {
            Box::new(io::stdin())
        } else {
            Box::new(File::open(&self.path).with_context(|| format!("cannot open {}", self.name()))?)
        };
        let head = Head::of(progress.wrap_read(raw)).with_context(|| format!("cannot read {}", self.name()))?;
        let (gzip, plain) = (head.gzip(), head.plain());
        let otlp = file::encoding(&plain).or_else(|| self.is_named_protobuf(&plain).then_some(Encoding::Protobuf));
        Ok(Opened { bytes: Box::new(head.put_back()), gzip, otlp })
    }

    fn is_named_protobuf(&self, plain: &[u8]) -> bool {
        let name = self.name();
        let json = plain.trim_ascii_start().first().is_some_and(|byte| matches!(byte, b'{' | b'['));
        !json && PROTOBUF_NAMES.iter().any(|ending| name.ends_with(ending))
    }
}

impl Opened {
    /// The bytes unpacked.
    pub(crate) fn unpacked(self) -> Box<dyn Read + Send> {
        if self.gzip { Box::new(MultiGzDecoder::new(self.bytes)) } else { self.bytes }
    }
}

/// The beginning of a source, and what comes after it.
struct Head<R> {
    bytes: Vec<u8>,
    rest: R,
}

impl<R: Read> Head<R> {
    fn of(mut rest: R) -> io::Result<Self> {
        let mut bytes = Vec::new();
        rest.by_ref().take(LOOKED_AT).read_to_end(&mut bytes)?;
        Ok(Self { bytes, rest })
    }

    fn gzip(&self) -> bool {
        self.bytes.starts_with(&GZIP_MAGIC)
    }

    /// Its beginning, unpacked. Damage is told when all of it is read.
    fn plain(&self) -> Vec<u8> {
        let mut plain = Vec::new();
        let packed = self.gzip().then(|| MultiGzDecoder::new(self.bytes.as_slice()));
        let most = HEAD_BYTES as u64;
        match packed {
            Some(packed) => drop(packed.take(most).read_to_end(&mut plain)),
            None => plain.extend_from_slice(&self.bytes[..self.bytes.len().min(HEAD_BYTES)]),
        }
        plain
    }

    fn put_back(self) -> impl Read {
        Cursor::new(self.bytes).chain(self.rest)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Write;

    #[test]
    fn gzip_is_told_by_its_first_bytes_whatever_the_name() {
        let folder = tempfile::tempdir().unwrap();
        let mut packed = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
        packed.write_all(b"{\"a\":1}\n").unwrap();
        for (name, content) in [("a.ndjson", packed.finish().unwrap()), ("b.gz", b"{\"a\":1}\n".to_vec())] {
            let path = folder.path().join(name);
            std::fs::write(&path, content).unwrap();
            let source = Source::new(&path);
            let mut text = String::new();
            source.open(&ProgressBar::hidden()).unwrap().unpacked().read_to_string(&mut text).unwrap();
            assert_eq!(text, "{\"a\":1}\n", "{name}");
        }
    }

    #[test]
    fn saved_telemetry_is_told_by_its_content_and_protobuf_by_its_name_too() {
        let folder = tempfile::tempdir().unwrap();
        let gzip = |bytes: &[u8]| {
            let mut packed = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
            packed.write_all(bytes).unwrap();
            packed.finish().unwrap()
        };
        let (json, event) = (&b"{\"resourceSpans\":[]}\n"[..], &b"{\"id\":\"1\"}\n"[..]);
        for (name, content, expected) in [
            ("a.json", json.to_vec(), Some(Encoding::Json)),
            ("a.ndjson.gz", gzip(json), Some(Encoding::Json)),
            ("b.ndjson", event.to_vec(), None),
            ("b.pb", event.to_vec(), None),
            ("c.pb", b"\n\x12resource".to_vec(), Some(Encoding::Protobuf)),
            ("c.pb.gz", gzip(b"\x0a0words only"), Some(Encoding::Protobuf)),
            ("c.txt", b"words only".to_vec(), None),
            ("empty", Vec::new(), None),
        ] {
            let path = folder.path().join(name);
            std::fs::write(&path, content).unwrap();
            assert_eq!(Source::new(&path).open(&ProgressBar::hidden()).unwrap().otlp, expected, "{name}");
        }
    }

    #[test]
    fn short_and_empty_files_are_plain() {
        for content in [&b""[..], b"\x1f"] {
            let head = Head::of(content).unwrap();
            let (gzip, mut all) = (head.gzip(), Vec::new());
            head.put_back().read_to_end(&mut all).unwrap();
            assert_eq!((all.as_slice(), gzip), (content, false));
        }
    }

    #[test]
    fn a_missing_file_and_a_folder_are_named() {
        let folder = tempfile::tempdir().unwrap();
        let missing = Source::new(&folder.path().join("nothing.ndjson")).check().unwrap_err();
        assert!(missing.to_string().contains("nothing.ndjson"), "{missing}");
        assert!(Source::new(folder.path()).check().unwrap_err().to_string().contains("folder"));
    }
}
