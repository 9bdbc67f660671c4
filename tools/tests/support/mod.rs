//! Running steps against a broker and comparing what was said.

pub(crate) mod steps;
pub(crate) mod transcript;
