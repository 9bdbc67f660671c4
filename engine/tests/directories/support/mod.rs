//! What tests write into a partition's directory, what must be found in it, and how it is told.

pub(crate) mod model;
pub(crate) mod open;
pub(crate) mod recipe;
pub(crate) mod tell;
