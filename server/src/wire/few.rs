//! `Few`: a list whose first element needs no memory of its own.
//!
//! Most produce requests name one topic and one partition of it: on their way to the disk nothing is allocated.

use smallvec::SmallVec;

/// Elements in order; behind the first one they take memory as those of a `Vec` do.
pub type Few<T> = SmallVec<[T; 1]>;
