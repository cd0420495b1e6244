//! Where lines come from: files and standard input, plain or gzip, told apart by their first bytes.

use std::fs::File;
use std::io::{self, Cursor, Read};
use std::path::{Path, PathBuf};

use anyhow::{Context, bail};
use flate2::read::MultiGzDecoder;
use indicatif::ProgressBar;

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
        let (bytes, gzip) =
            tell_gzip(progress.wrap_read(raw)).with_context(|| format!("cannot read {}", self.name()))?;
        Ok(Opened { bytes: Box::new(bytes), gzip })
    }
}

impl Opened {
    /// The bytes unpacked.
    pub(crate) fn unpacked(self) -> Box<dyn Read + Send> {
        if self.gzip { Box::new(MultiGzDecoder::new(self.bytes)) } else { self.bytes }
    }
}

/// Looks at the first bytes and puts them back.
fn tell_gzip<R: Read>(mut raw: R) -> io::Result<(impl Read, bool)> {
    let mut head = Vec::with_capacity(GZIP_MAGIC.len());
    raw.by_ref().take(GZIP_MAGIC.len() as u64).read_to_end(&mut head)?;
    let gzip = head == GZIP_MAGIC;
    Ok((Cursor::new(head).chain(raw), gzip))
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
    fn short_and_empty_files_are_plain() {
        for content in [&b""[..], b"\x1f"] {
            let (mut bytes, gzip) = tell_gzip(content).unwrap();
            let mut all = Vec::new();
            bytes.read_to_end(&mut all).unwrap();
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
