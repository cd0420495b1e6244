//! A request's body as plain bytes, a little at a time.

use std::io::Write;

use axum::body::Body;
use axum::http::HeaderMap;
use axum::http::header::{CONTENT_ENCODING, CONTENT_LENGTH};
use bytes::Bytes;
use flate2::write::MultiGzDecoder;

use super::arriving::{Arriving, Sender};
use crate::error::{ErrorCode, WebError};

/// Compressed bytes that are unpacked at once: gzip makes at most about a thousand times as much of them.
const GZIP_SLICE: usize = 1_024;
/// Plain bytes handed on at once.
const PLAIN_SLICE: usize = 64 * 1_024;

/// How many bytes a body may have when unpacked, and the setting that says so.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Limit {
    pub(crate) bytes: u64,
    pub(crate) setting: &'static str,
}

/// A body as it arrives, unpacked, never more than allowed and never whole in memory.
pub(crate) struct PlainBody {
    arriving: Arriving,
    gzip: Option<MultiGzDecoder<Vec<u8>>>,
    /// Received and not yet unpacked.
    waiting: Bytes,
    /// The length that the headers name.
    announced: Option<u64>,
    unpacked: u64,
    most: Limit,
    ended: bool,
}

impl PlainBody {
    /// The body of a request with these headers.
    ///
    /// # Errors
    /// When its compression is unknown.
    pub(crate) fn new(headers: &HeaderMap, body: Body, most: Limit, sender: Sender) -> Result<Self, WebError> {
        let gzip = is_gzip(headers)?.then(|| MultiGzDecoder::new(Vec::new()));
        let announced = headers.get(CONTENT_LENGTH).and_then(|length| length.to_str().ok()?.parse().ok());
        let arriving = Arriving::new(body, sender);
        Ok(Self { arriving, gzip, waiting: Bytes::new(), announced, unpacked: 0, most, ended: false })
    }

    /// The next bytes; none at the end.
    ///
    /// # Errors
    /// When the client stops or takes too long, the compression is damaged, or there is too much or nothing at all.
    pub(crate) async fn next(&mut self) -> Result<Option<Bytes>, WebError> {
        if self.announced.is_some_and(|length| length > self.most.bytes) {
            return Err(too_large(self.most));
        }
        loop {
            let plain = if !self.waiting.is_empty() {
                self.unpack_some()?
            } else if self.ended {
                return Ok(None);
            } else {
                match self.arriving.next().await? {
                    Some(bytes) => {
                        self.waiting = bytes;
                        continue;
                    }
                    None => self.unpack_rest()?,
                }
            };
            self.unpacked += plain.len() as u64;
            if self.unpacked > self.most.bytes {
                return Err(too_large(self.most));
            }
            if !plain.is_empty() {
                return Ok(Some(plain));
            }
        }
    }

    fn unpack_some(&mut self) -> Result<Bytes, WebError> {
        let Some(gzip) = &mut self.gzip else {
            return Ok(self.waiting.split_to(self.waiting.len().min(PLAIN_SLICE)));
        };
        let slice = self.waiting.split_to(self.waiting.len().min(GZIP_SLICE));
        gzip.write_all(&slice).map_err(|error| bad_gzip(&error, self.arriving.received()))?;
        Ok(std::mem::take(gzip.get_mut()).into())
    }

    fn unpack_rest(&mut self) -> Result<Bytes, WebError> {
        self.ended = true;
        if self.arriving.received() == 0 {
            return Err(WebError::new(ErrorCode::EmptyBody, "the body is empty"));
        }
        let Some(gzip) = &mut self.gzip else { return Ok(Bytes::new()) };
        gzip.try_finish().map_err(|error| bad_gzip(&error, self.arriving.received()))?;
        Ok(std::mem::take(gzip.get_mut()).into())
    }

    /// As [`Arriving::discard_rest`].
    pub(crate) fn discard_rest(self) {
        self.arriving.discard_rest();
    }
}

fn is_gzip(headers: &HeaderMap) -> Result<bool, WebError> {
    let unsupported = |named: &str| {
        let shown: String = named.chars().take(64).collect();
        WebError::new(ErrorCode::UnsupportedEncoding, format!("Content-Encoding `{shown}` is not supported"))
    };
    let mut gzip = false;
    for value in headers.get_all(CONTENT_ENCODING) {
        let named = value.to_str().map_err(|_| unsupported("?"))?;
        for encoding in named.split(',').map(str::trim) {
            if encoding.eq_ignore_ascii_case("identity") || encoding.is_empty() {
                continue;
            }
            let known = encoding.eq_ignore_ascii_case("gzip") || encoding.eq_ignore_ascii_case("x-gzip");
            if !known || gzip {
                return Err(unsupported(named));
            }
            gzip = true;
        }
    }
    Ok(gzip)
}

fn too_large(most: Limit) -> WebError {
    let Limit { bytes, setting } = most;
    let detail = format!("the body has more than {bytes} bytes after decompression ({setting})");
    WebError::new(ErrorCode::BodyTooLarge, detail)
}

fn bad_gzip(error: &std::io::Error, received: u64) -> WebError {
    WebError::new(
        ErrorCode::BadGzip,
        format!("the body is not whole gzip within its first {received} bytes: {error}"),
    )
}
