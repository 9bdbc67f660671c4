//! The order in which a Java `HashMap` lists its keys: the order of Apache Kafka's answers, and of its errors
//! where several things are wrong.

/// The names in the order of a `HashMap` that they were put into one after the other.
pub(super) fn java_order<'a>(names: impl IntoIterator<Item = &'a str>) -> Vec<&'a str> {
    let mut names: Vec<&str> = names.into_iter().collect();
    // A map doubles when it is fuller than three quarters.
    let mut buckets = 16;
    while names.len() * 4 > buckets * 3 {
        buckets *= 2;
    }
    // Stable: names of one bucket stay in the order in which they came.
    names.sort_by_key(|name| {
        let hash = java_hash(name);
        (hash ^ (hash >> 16)) as usize & (buckets - 1)
    });
    names
}

/// `String.hashCode`, its bits.
pub(crate) fn java_hash(name: &str) -> u32 {
    name.encode_utf16().fold(0, |hash: u32, unit| hash.wrapping_mul(31).wrapping_add(unit.into()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hashes_are_those_of_java() {
        assert_eq!(java_hash(""), 0);
        assert_eq!(java_hash("hello"), 99_162_322);
        assert_eq!(java_hash("größe").cast_signed(), 98_762_257);
    }
}
