//! gzip: one stream, or several in a row.

use std::io::Read;

use flate2::bufread::{GzEncoder, MultiGzDecoder};

use super::Undecodable;
use super::output::Output;

pub(super) fn decompress(bytes: &[u8], out: &mut Output) -> Result<(), Undecodable> {
    out.read_from(MultiGzDecoder::new(bytes))
}

pub(super) fn compress(bytes: &[u8], level: i32, out: &mut Vec<u8>) {
    let level =
        u32::try_from(level).map_or_else(|_| flate2::Compression::default(), flate2::Compression::new);
    GzEncoder::new(bytes, level).read_to_end(out).expect("memory is read and written");
}
