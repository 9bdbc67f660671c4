//! Bytes to meaning and back, pure: nothing here touches a file.

pub mod uuid;

pub use uuid::Uuid;
