//! Bodies of answers: which bytes they hold, and the bytes as they come.

use super::call::Answered;
use super::values::number;
use crate::{ByteRange, ByteStream};
use futures_util::StreamExt;
use http::StatusCode;
use http::header::{CONTENT_LENGTH, CONTENT_RANGE};
use http_body::Body as _;
use http_body_util::BodyExt;
use std::io;

/// Which bytes the body holds, and of how many, and whether these are the ones that were asked for.
pub(crate) fn span_of(answered: &Answered, range: Option<ByteRange>) -> Result<(u64, u64, u64), String> {
    let length = number(&answered.headers, CONTENT_LENGTH);
    match (answered.status, range) {
        (StatusCode::OK, None) => {
            let size = length.ok_or("an object without a length")?;
            Ok((0, size, size))
        }
        // The whole object is what was asked for.
        (StatusCode::OK, Some(range)) => match length {
            Some(size) if range.start == 0 && range.end >= size => Ok((0, size, size)),
            _ => Err("the whole object where a part was asked for".to_owned()),
        },
        (StatusCode::PARTIAL_CONTENT, Some(range)) => {
            let text = answered.text_of(CONTENT_RANGE.as_str()).ok_or("a part that does not say which")?;
            let (start, end, size) = parse_content_range(text).ok_or_else(|| format!("Content-Range: {text}"))?;
            if start != range.start || end != range.end.min(size) {
                return Err(format!("asked for {}..{}, got {start}..{end} of {size}", range.start, range.end));
            }
            if length.is_some_and(|length| length != end - start) {
                return Err("Content-Length and Content-Range differ".to_owned());
            }
            Ok((start, end, size))
        }
        (status, _) => Err(format!("an answer of status {}", status.as_u16())),
    }
}

/// `bytes 0-9/100` as start, end (exclusive) and size.
fn parse_content_range(text: &str) -> Option<(u64, u64, u64)> {
    let (span, size) = text.strip_prefix("bytes ")?.split_once('/')?;
    let (first, last) = span.split_once('-')?;
    let (first, last, size) = (first.parse().ok()?, last.parse::<u64>().ok()?, size.parse().ok()?);
    if first > last || last >= size { None } else { Some((first, last + 1, size)) }
}

/// The body as it comes. An end before `due` bytes, a pause longer than allowed, a broken connection: an error.
pub(crate) fn stream_of(answered: Answered, due: u64) -> ByteStream {
    let state = (Some(answered), due);
    futures_util::stream::unfold(state, |(answered, due)| async move {
        let mut answered = answered?;
        loop {
            let next = answered.lent.connection.driving(answered.body.frame());
            let next = tokio::time::timeout(answered.read_idle, next).await;
            let error = match next {
                Err(_) => io::Error::new(io::ErrorKind::TimedOut, "the body stopped in the middle"),
                Ok(Some(Err(error))) => io::Error::new(io::ErrorKind::ConnectionReset, error),
                Ok(None) if due > 0 => io::Error::new(io::ErrorKind::UnexpectedEof, format!("{due} bytes are missing")),
                Ok(None) => {
                    answered.lent.keep();
                    return None;
                }
                Ok(Some(Ok(frame))) => match frame.into_data() {
                    Ok(data) if data.len() as u64 > due => io::Error::other("the body is longer than it said"),
                    Ok(data) if data.is_empty() => continue,
                    Ok(data) => {
                        let due = due - data.len() as u64;
                        // Whoever has all bytes that were due asks for no more: the connection is free from here on.
                        if due == 0 && answered.body.is_end_stream() {
                            answered.lent.keep();
                            return Some((Ok(data), (None, 0)));
                        }
                        return Some((Ok(data), (Some(answered), due)));
                    }
                    Err(_) => continue,
                },
            };
            return Some((Err(error), (None, 0)));
        }
    })
    .boxed()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn content_ranges() {
        assert_eq!(parse_content_range("bytes 0-9/100"), Some((0, 10, 100)));
        assert_eq!(parse_content_range("bytes 99-99/100"), Some((99, 100, 100)));
        for bad in ["bytes 0-9/*", "bytes */100", "0-9/100", "bytes 9-0/100", "bytes 0-100/100", ""] {
            assert_eq!(parse_content_range(bad), None, "{bad}");
        }
    }
}
