//! `Records`: record batches on their way, never copied by the codec when they are long.

use std::sync::Arc;

use bytes::Bytes;
use logmill_engine::disk::FileSlice;

/// The content of a field of type `records`.
#[derive(Debug, Clone, Default)]
pub enum Records {
    /// No records field at all, which is not the same as an empty one.
    #[default]
    Null,
    /// Batches in memory: a slice of a request's frame, or a few that are copied into a response.
    Bytes(Bytes),
    /// Batches in files, sent from there one run after the other. Only ever written.
    Slices(Vec<FileSlice>),
}

impl Records {
    /// How many bytes of batches there are.
    pub fn len(&self) -> usize {
        match self {
            Records::Null => 0,
            Records::Bytes(bytes) => bytes.len(),
            Records::Slices(slices) => slices.iter().map(|slice| slice.len as usize).sum(),
        }
    }

    /// Whether there are no batches.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }
}

/// Slices are equal when they are the same run of the same open file; content is not read.
impl PartialEq for Records {
    fn eq(&self, other: &Records) -> bool {
        match (self, other) {
            (Records::Null, Records::Null) => true,
            (Records::Bytes(a), Records::Bytes(b)) => a == b,
            (Records::Slices(a), Records::Slices(b)) => {
                a.len() == b.len() && a.iter().zip(b).all(|(a, b)| is_same_run(a, b))
            }
            (Records::Null | Records::Bytes(_) | Records::Slices(_), _) => false,
        }
    }
}

fn is_same_run(a: &FileSlice, b: &FileSlice) -> bool {
    Arc::ptr_eq(&a.file, &b.file) && a.position == b.position && a.len == b.len
}
