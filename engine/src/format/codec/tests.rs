//! Every codec gives back what it took, and nothing that lies gets more memory than its limit.

use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};

use super::*;

const MAX: usize = 1 << 20;

const COMPRESSIONS: [Compression; 9] = [
    Compression::None,
    Compression::Gzip { level: -1 },
    Compression::Gzip { level: 1 },
    Compression::Gzip { level: 9 },
    Compression::Snappy,
    Compression::Lz4,
    Compression::Zstd { level: 3 },
    Compression::Zstd { level: -131_072 },
    Compression::Zstd { level: 22 },
];

fn compressed(compression: Compression, bytes: &[u8]) -> Vec<u8> {
    let mut out = b"in front".to_vec();
    compress(compression, bytes, &mut out);
    out.split_off(b"in front".len())
}

/// Text that compresses, and in the middle noise that does not.
fn sample(len: usize) -> Vec<u8> {
    let mut random = StdRng::seed_from_u64(len as u64);
    let is_noise = |at: usize| at > len / 3 && at < len / 2;
    (0..len)
        .map(|at| if is_noise(at) { random.random() } else { b"all work and no play "[at % 21] })
        .collect()
}

#[track_caller]
fn check_damaged(codec: Codec, bytes: &[u8], word: &str) {
    match decompress(codec, bytes, MAX) {
        Err(Undecodable::Damaged(what)) => assert!(what.contains(word), "{what:?} does not say {word:?}"),
        other => panic!("{other:?}"),
    }
}

#[test]
fn every_codec_gives_back_what_it_took() {
    for compression in COMPRESSIONS {
        for len in [0, 1, 100, 32 << 10, (64 << 10) + 1, 300_000] {
            let bytes = sample(len);
            let written = compressed(compression, &bytes);
            let read = decompress(compression.codec(), &written, MAX);
            assert!(read.is_ok_and(|read| *read == bytes), "{compression:?} of {len} bytes");
        }
    }
}

#[test]
fn what_is_larger_than_its_limit_is_refused_at_the_byte() {
    let bytes = sample(100_000);
    for compression in &COMPRESSIONS[1..] {
        let written = compressed(*compression, &bytes);
        for (max, expected) in [(100_000, Ok(())), (99_999, Err(Undecodable::TooLarge { max: 99_999 }))] {
            let read = decompress(compression.codec(), &written, max).map(drop);
            assert_eq!(read, expected, "{compression:?} with {max} bytes");
        }
    }
}

#[test]
fn a_bomb_gets_no_more_memory_than_its_limit() {
    let zeros = vec![0; 16 << 20];
    for compression in &COMPRESSIONS[1..] {
        let written = compressed(*compression, &zeros);
        let read = decompress(compression.codec(), &written, MAX);
        assert_eq!(read, Err(Undecodable::TooLarge { max: MAX }), "{compression:?}");
    }
    let mut out = Output::new(MAX);
    out.read_from(&zeros[..]).unwrap_err();
    assert!(out.into_bytes().capacity() <= MAX);
}

#[test]
fn compressed_bytes_cut_anywhere_give_no_more_than_their_beginning() {
    let bytes = sample(2_000);
    for compression in &COMPRESSIONS[1..] {
        let written = compressed(*compression, &bytes);
        for len in 0..written.len() {
            if let Ok(read) = decompress(compression.codec(), &written[..len], MAX) {
                assert!(bytes.starts_with(&read), "{compression:?} cut at {len}");
            }
        }
    }
}

#[test]
fn flipped_bits_never_panic_and_never_exceed_the_limit() {
    let bytes = sample(3_000);
    for compression in &COMPRESSIONS[1..] {
        let written = compressed(*compression, &bytes);
        for bit in 0..written.len() * 8 {
            let mut damaged = written.clone();
            damaged[bit / 8] ^= 1 << (bit % 8);
            if let Ok(read) = decompress(compression.codec(), &damaged, 4_096) {
                assert!(read.len() <= 4_096, "{compression:?}, bit {bit}");
            }
        }
    }
}

#[test]
fn numbers_of_codecs_are_those_of_the_attributes() {
    for (id, codec) in (0..5).zip(Codec::ALL) {
        assert_eq!((codec.id(), Codec::from_id(id)), (id, Some(codec)));
    }
    assert_eq!(Codec::from_id(5), None);
}

#[test]
fn the_limit_follows_the_batch_and_ends_at_256_mib() {
    assert_eq!(decompressed_bytes_max(1_000_000), 100_000_000);
    assert_eq!(decompressed_bytes_max(usize::MAX), 256 << 20);
}

#[test]
fn snappy_is_read_bare_too() {
    let bytes = sample(5_000);
    let bare = snap::raw::Encoder::new().compress_vec(&bytes).unwrap();
    assert_eq!(decompress(Codec::Snappy, &bare, MAX).as_deref(), Ok(&bytes[..]));
}

#[test]
fn lengths_of_snappy_blocks_that_lie_are_refused() {
    let written = compressed(Compression::Snappy, b"some bytes");
    for len in [-1, i32::MIN, i32::MAX, 13] {
        let mut lying = written.clone();
        lying[16..20].copy_from_slice(&len.to_be_bytes());
        check_damaged(Codec::Snappy, &lying, &format!("a block of {len} bytes"));
    }
    check_damaged(Codec::Snappy, &written[..18], "length is cut");
    // A bare block of 6 bytes that says to hold 4 GiB - 1.
    check_damaged(Codec::Snappy, &[0xff, 0xff, 0xff, 0xff, 0x0f, 0], "holds 4294967295");
}

/// A frame of one block with these flags, as other libraries than ours write it.
fn lz4_frame(flags: u8, size: u8, checksum_change: u8) -> Vec<u8> {
    let block = lz4_flex::block::compress(b"some bytes, some bytes, some bytes");
    let mut descriptor = vec![flags, size];
    if flags & 8 != 0 {
        descriptor.extend(34u64.to_le_bytes());
    }
    let checksum = (twox_hash::XxHash32::oneshot(0, &descriptor) >> 8) as u8;
    let mut frame = [&[0x04, 0x22, 0x4d, 0x18], &descriptor[..], &[checksum ^ checksum_change]].concat();
    frame.extend((block.len() as u32).to_le_bytes());
    frame.extend(&block);
    if flags & 16 != 0 {
        frame.extend(twox_hash::XxHash32::oneshot(0, &block).to_le_bytes());
    }
    frame.extend([0; 4]);
    if flags & 4 != 0 {
        frame.extend(twox_hash::XxHash32::oneshot(0, b"some bytes, some bytes, some bytes").to_le_bytes());
    }
    frame
}

#[test]
fn lz4_frames_are_read_with_every_checksum_and_size_of_block() {
    for flags in [0x60, 0x64, 0x68, 0x6c, 0x70, 0x7c] {
        for size in [0x40, 0x50, 0x60, 0x70] {
            let frame = lz4_frame(flags, size, 0);
            let read = decompress(Codec::Lz4, &frame, MAX);
            assert_eq!(
                read.as_deref(),
                Ok(&b"some bytes, some bytes, some bytes"[..]),
                "{flags:#x} {size:#x}"
            );
        }
    }
}

#[test]
fn lz4_frames_that_apaches_clients_cannot_read_are_refused() {
    for (flags, size, word) in [
        (0x40, 0x40, "depend"),
        (0xa0, 0x40, "flags"),
        (0x61, 0x40, "flags"),
        (0x60, 0xc0, "flags"),
        (0x60, 0x30, "class"),
    ] {
        check_damaged(Codec::Lz4, &lz4_frame(flags, size, 0), word);
    }
    check_damaged(Codec::Lz4, &[lz4_frame(0x60, 0x40, 0), vec![0]].concat(), "behind the frame");
    let mut damaged = lz4_frame(0x70, 0x40, 0);
    damaged[14] ^= 1;
    check_damaged(Codec::Lz4, &damaged, "block's checksum");
    let mut damaged = lz4_frame(0x60, 0x40, 0);
    damaged[7..11].copy_from_slice(&65_537u32.to_le_bytes());
    check_damaged(Codec::Lz4, &damaged, "65537 bytes");
}

#[test]
fn the_oldest_writers_lz4_is_read_in_spite_of_its_checksum() {
    let frame = lz4_frame(0x60, 0x40, 0xff);
    check_damaged(Codec::Lz4, &frame, "checksum");
    assert!(decompress_oldest(Codec::Lz4, &frame, MAX).is_ok());
}

#[test]
fn a_zstd_window_above_8_mib_is_refused() {
    let frame_of = |window_log| {
        let mut encoder = ::zstd::stream::write::Encoder::new(Vec::new(), 1).unwrap();
        encoder.window_log(window_log).unwrap();
        std::io::Write::write_all(&mut encoder, &sample(1_000)).unwrap();
        encoder.finish().unwrap()
    };
    assert!(decompress(Codec::Zstd, &frame_of(23), MAX).is_ok());
    assert!(matches!(decompress(Codec::Zstd, &frame_of(24), MAX), Err(Undecodable::Damaged(_))));
}

#[test]
fn what_is_compressed_beyond_8_mib_at_the_highest_level_is_read() {
    let zeros = vec![0; 9 << 20];
    let written = compressed(Compression::Zstd { level: 22 }, &zeros);
    assert!(decompress(Codec::Zstd, &written, 9 << 20).is_ok());
}

#[test]
fn gzip_streams_and_zstd_frames_in_a_row_are_read() {
    for compression in [Compression::Gzip { level: 6 }, Compression::Zstd { level: 3 }] {
        let two = [compressed(compression, b"first, "), compressed(compression, b"second")].concat();
        assert_eq!(decompress(compression.codec(), &two, MAX).as_deref(), Ok(&b"first, second"[..]));
    }
}
