//! The metrics' listener: HTTP, of which it knows GET /metrics and nothing else.

use std::future::poll_fn;
use std::io::{self, IoSlice};
use std::rc::Rc;

use bytes::BytesMut;

use super::table::exposition;
use crate::net::{Listener, Stream};
use crate::shard::LocalShard;

/// Longest request: a line and some headers.
const REQUEST_BYTES_MAX: usize = 8 * 1024;
/// How long one connection may take.
const EXCHANGE_MS_MAX: u64 = 5_000;
/// How long it waits before it accepts again after it could not.
const PAUSE_MS: u64 = 1_000;

/// Answers one connection after the other, until the shard stops.
pub(crate) async fn run(mut listener: Box<dyn Listener>, shard: Rc<LocalShard>) {
    loop {
        let accepted = tokio::select! {
            biased;
            () = shard.stopping() => return,
            accepted = poll_fn(|cx| listener.poll_accept(cx)) => accepted,
        };
        let Ok(stream) = accepted else {
            shard.host().runtime.sleep(PAUSE_MS).await;
            continue;
        };
        tokio::select! {
            biased;
            // Whoever asks for metrics asks again.
            _ = serve(&*stream, &shard) => (),
            () = shard.host().runtime.sleep(EXCHANGE_MS_MAX) => (),
        }
    }
}

async fn serve(stream: &dyn Stream, shard: &LocalShard) -> io::Result<()> {
    let Some(request) = receive(stream).await? else { return Ok(()) };
    let answer = match path_of(&request) {
        Some(b"/metrics") => {
            let text = exposition(&shard.counts_of_all().await);
            response("200 OK", "text/plain; version=0.0.4; charset=utf-8", &text)
        }
        Some(_) => response("404 Not Found", "text/plain", "metrics are at /metrics\n"),
        None => response("405 Method Not Allowed", "text/plain", "only GET is served\n"),
    };
    let mut left = answer.as_bytes();
    while !left.is_empty() {
        let sent = poll_fn(|cx| stream.poll_write(cx, &[IoSlice::new(left)])).await?;
        if sent == 0 {
            return Err(io::ErrorKind::WriteZero.into());
        }
        left = &left[sent..];
    }
    Ok(())
}

/// A request up to the empty line; `None` when it does not come, or is too long.
async fn receive(stream: &dyn Stream) -> io::Result<Option<BytesMut>> {
    let mut received = BytesMut::new();
    while received.len() < REQUEST_BYTES_MAX {
        if poll_fn(|cx| stream.poll_read(cx, &mut received, 1_024)).await? == 0 {
            return Ok(None);
        }
        if received.windows(4).any(|four| four == b"\r\n\r\n") {
            return Ok(Some(received));
        }
    }
    Ok(None)
}

/// What a GET asks for, without its query.
fn path_of(request: &[u8]) -> Option<&[u8]> {
    let mut words = request.split(|byte| *byte == b' ');
    let target = words.next().filter(|method| *method == b"GET").and(words.next())?;
    target.split(|byte| *byte == b'?').next()
}

fn response(status: &str, content_type: &str, body: &str) -> String {
    let len = body.len();
    format!(
        "HTTP/1.1 {status}\r\nContent-Type: {content_type}\r\nContent-Length: {len}\r\nConnection: close\r\n\r\n{body}"
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_get_has_a_path() {
        for (request, path) in [
            (&b"GET /metrics HTTP/1.1\r\n"[..], Some(&b"/metrics"[..])),
            (b"GET /metrics?name=a HTTP/1.1\r\n", Some(b"/metrics")),
            (b"GET / HTTP/1.0\r\n", Some(b"/")),
            (b"POST /metrics HTTP/1.1\r\n", None),
            (b"GET\r\n", None),
            (b"", None),
        ] {
            assert_eq!(path_of(request), path);
        }
    }
}
