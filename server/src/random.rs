//! `Random`: the seam to randomness. The only file that draws from the kernel.

use std::cell::RefCell;

use logmill_engine::format::Uuid;
use rand::rngs::SmallRng;
use rand::{RngCore, SeedableRng};

/// A source of random numbers.
pub trait Random {
    /// The next 64 random bits.
    fn next(&self) -> u64;

    /// A number below `end`, which is not 0. Its slight bias to small numbers matters to nobody here.
    fn below(&self, end: usize) -> usize {
        (self.next() % end as u64) as usize
    }

    /// A new id.
    fn uuid(&self) -> Uuid {
        loop {
            let mut bytes = [0; 16];
            bytes[..8].copy_from_slice(&self.next().to_ne_bytes());
            bytes[8..].copy_from_slice(&self.next().to_ne_bytes());
            if let Some(id) = Uuid::from_random(bytes) {
                return id;
            }
        }
    }
}

/// A generator of small state. The same seed gives the same numbers.
#[derive(Debug)]
pub struct SeededRandom(RefCell<SmallRng>);

impl SeededRandom {
    /// Seeded by the kernel.
    pub fn from_os() -> SeededRandom {
        SeededRandom(RefCell::new(SmallRng::from_os_rng()))
    }

    /// Seeded by the caller.
    pub fn from_seed(seed: u64) -> SeededRandom {
        SeededRandom(RefCell::new(SmallRng::seed_from_u64(seed)))
    }
}

impl Random for SeededRandom {
    fn next(&self) -> u64 {
        self.0.borrow_mut().next_u64()
    }
}
