//! Port numbers for brokers.

use std::{
    io,
    net::{Ipv4Addr, TcpListener},
    process,
    sync::atomic::{AtomicU32, Ordering},
};

use super::Error;

/// Below the ports that Linux gives to outgoing connections (from 32768), which may come at any time
/// between our look and the broker's bind.
const FIRST: u32 = 12_000;
const COUNT: u32 = 20_000;

/// A port of the loopback address that is free, and that no other call here returns soon. A process walks
/// its own stretch, so that test processes running side by side seldom meet.
pub(super) fn free_port() -> Result<u16, Error> {
    static NEXT: AtomicU32 = AtomicU32::new(0);
    // A stride prime to the count spreads process ids, which follow one another.
    let start = process::id().wrapping_mul(7919);
    for _ in 0..COUNT {
        let step = NEXT.fetch_add(1, Ordering::Relaxed);
        let port = u16::try_from(FIRST + start.wrapping_add(step) % COUNT).expect("FIRST + COUNT < 65536");
        if TcpListener::bind((Ipv4Addr::LOCALHOST, port)).is_ok() {
            return Ok(port);
        }
    }
    Err(Error::io("looking for a free port")(io::ErrorKind::AddrInUse.into()))
}

const _: () = assert!(FIRST + COUNT < 32_768);
