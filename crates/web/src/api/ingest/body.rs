//! A request's body as plain bytes, a little at a time.

use std::io::Write;
use std::time::Duration;

use axum::body::{Body, BodyDataStream};
use axum::http::HeaderMap;
use axum::http::header::{CONTENT_ENCODING, CONTENT_LENGTH};
use bytes::Bytes;
use flate2::write::MultiGzDecoder;
use futures::StreamExt;

use crate::error::{ErrorCode, WebError};

/// Compressed bytes that are unpacked at once: gzip makes at most about a thousand times as much of them.
const GZIP_SLICE: usize = 1_024;
/// Plain bytes handed on at once.
const PLAIN_SLICE: usize = 64 * 1_024;
/// Bytes of a refused body that are read and thrown away, and how long that may take.
const MAX_DISCARDED: usize = 4 << 20;
const MAX_DISCARDING: Duration = Duration::from_secs(10);

/// A body as it arrives, unpacked, never more than allowed and never whole in memory.
pub(super) struct PlainBody {
    stream: BodyDataStream,
    gzip: Option<MultiGzDecoder<Vec<u8>>>,
    /// Received and not yet unpacked.
    waiting: Bytes,
    /// The length that the headers name.
    announced: Option<u64>,
    received: u64,
    unpacked: u64,
    most: u64,
    ended: bool,
}

impl PlainBody {
    /// The body of a request with these headers.
    ///
    /// # Errors
    /// When its compression is unknown.
    pub(super) fn new(headers: &HeaderMap, body: Body, most: u64) -> Result<Self, WebError> {
        let gzip = is_gzip(headers)?.then(|| MultiGzDecoder::new(Vec::new()));
        let announced = headers.get(CONTENT_LENGTH).and_then(|length| length.to_str().ok()?.parse().ok());
        let stream = body.into_data_stream();
        Ok(Self { stream, gzip, waiting: Bytes::new(), announced, received: 0, unpacked: 0, most, ended: false })
    }

    /// The next bytes; none at the end.
    ///
    /// # Errors
    /// When the client stops, the compression is damaged, or there is too much or nothing at all.
    pub(super) async fn next(&mut self) -> Result<Option<Bytes>, WebError> {
        if self.announced.is_some_and(|length| length > self.most) {
            return Err(too_large(self.most));
        }
        loop {
            let plain = if !self.waiting.is_empty() {
                self.unpack_some()?
            } else if self.ended {
                return Ok(None);
            } else {
                match self.stream.next().await {
                    Some(Ok(bytes)) => {
                        self.received += bytes.len() as u64;
                        self.waiting = bytes;
                        continue;
                    }
                    Some(Err(error)) => {
                        let detail = format!("the body broke off after {} bytes: {error}", self.received);
                        return Err(WebError::new(ErrorCode::BodyInterrupted, detail));
                    }
                    None => self.unpack_rest()?,
                }
            };
            self.unpacked += plain.len() as u64;
            if self.unpacked > self.most {
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
        gzip.write_all(&slice).map_err(|error| bad_gzip(&error, self.received))?;
        Ok(std::mem::take(gzip.get_mut()).into())
    }

    fn unpack_rest(&mut self) -> Result<Bytes, WebError> {
        self.ended = true;
        if self.received == 0 {
            return Err(WebError::new(ErrorCode::EmptyBody, "the body is empty"));
        }
        let Some(gzip) = &mut self.gzip else { return Ok(Bytes::new()) };
        gzip.try_finish().map_err(|error| bad_gzip(&error, self.received))?;
        Ok(std::mem::take(gzip.get_mut()).into())
    }

    /// Reads a little more and throws it away, while the answer is on its way: a client that is still sending would
    /// otherwise find the connection reset instead of the answer.
    pub(super) fn discard_rest(mut self) {
        let discard = async move {
            let mut discarded = 0;
            while discarded < MAX_DISCARDED {
                match self.stream.next().await {
                    Some(Ok(bytes)) => discarded += bytes.len(),
                    _ => return,
                }
            }
        };
        tokio::spawn(tokio::time::timeout(MAX_DISCARDING, discard));
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

fn too_large(most: u64) -> WebError {
    let detail = format!("the body has more than {most} bytes after decompression (intake.max_body_bytes)");
    WebError::new(ErrorCode::BodyTooLarge, detail)
}

fn bad_gzip(error: &std::io::Error, received: u64) -> WebError {
    WebError::new(
        ErrorCode::BadGzip,
        format!("the body is not whole gzip within its first {received} bytes: {error}"),
    )
}
