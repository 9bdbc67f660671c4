//! zstd: a frame, or several in a row, whose window is 8 MiB at most.

use zstd::bulk::Compressor;
use zstd::stream::raw::{CParameter, DParameter};
use zstd::stream::read::Decoder;

use super::Undecodable;
use super::output::Output;

/// Bytes that a reader keeps of what came before, as a power of two: 8 MiB, which RFC 8878 asks every reader
/// to take and none to exceed. Levels 20 to 22 use more when nobody tells them how much there is.
const WINDOW_LOG_MAX: u32 = 23;

pub(super) fn decompress(bytes: &[u8], out: &mut Output) -> Result<(), Undecodable> {
    let mut decoder = Decoder::with_buffer(bytes).map_err(Undecodable::damaged)?;
    decoder.set_parameter(DParameter::WindowLogMax(WINDOW_LOG_MAX)).map_err(Undecodable::damaged)?;
    out.read_from(decoder)
}

pub(super) fn compress(bytes: &[u8], level: i32, out: &mut Vec<u8>) {
    let begin = out.len();
    out.resize(begin + zstd::zstd_safe::compress_bound(bytes.len()), 0);
    let mut compressor = Compressor::new(level).expect("zstd takes every level");
    if bytes.len() > 1 << WINDOW_LOG_MAX {
        compressor
            .set_parameter(CParameter::WindowLog(WINDOW_LOG_MAX))
            .expect("zstd has windows of this size");
    }
    let len =
        compressor.compress_to_buffer(bytes, &mut out[begin..]).expect("the room is as large as asked for");
    out.truncate(begin + len);
}
