//! What a report says of the machine and the programs.

use std::fs;
use std::path::Path;
use std::process::Command;

/// Kernel, processor, memory, file system, each with its value.
pub(super) fn facts(dir: &Path) -> Vec<(String, String)> {
    let fact = |name: &str, value: String| (name.to_owned(), value);
    let uname = rustix::system::uname();
    vec![
        fact(
            "kernel",
            format!("{} {}", uname.sysname().to_string_lossy(), uname.release().to_string_lossy()),
        ),
        fact("CPU", cpu()),
        fact("memory", memory()),
        fact("file system", file_system(dir)),
    ]
}

/// What a JVM calls itself.
pub(super) fn java_version(java: &Path) -> String {
    let told = Command::new(java).arg("-version").output();
    let text = told.map(|output| String::from_utf8_lossy(&output.stderr).into_owned()).unwrap_or_default();
    // Its second line names the build.
    let lines: Vec<&str> = text.lines().take(2).collect();
    if lines.is_empty() { format!("{} did not tell", java.display()) } else { lines.join(", ") }
}

fn cpu() -> String {
    let text = fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
    let model = text.lines().find_map(|line| line.strip_prefix("model name")?.split_once(": "));
    let cores = std::thread::available_parallelism().map_or(1, usize::from);
    format!("{cores} x {}", model.map_or("unknown", |(_, model)| model))
}

fn memory() -> String {
    let text = fs::read_to_string("/proc/meminfo").unwrap_or_default();
    let kib = text.lines().find_map(|line| line.strip_prefix("MemTotal:")?.trim().strip_suffix(" kB"));
    let kib = kib.and_then(|kib| kib.parse::<u64>().ok());
    kib.map_or_else(|| "unknown".to_owned(), |kib| format!("{:.1} GiB", kib as f64 / f64::from(1 << 20)))
}

/// The mount that holds a directory: its kind, device and options.
fn file_system(dir: &Path) -> String {
    let dir = fs::canonicalize(dir).unwrap_or_else(|_| dir.to_owned());
    mount_of(&dir, &fs::read_to_string("/proc/self/mounts").unwrap_or_default())
}

fn mount_of(dir: &Path, mounts: &str) -> String {
    let mounts = mounts.lines().filter_map(|line| {
        let mut words = line.split(' ');
        let (device, point) = (words.next()?, words.next()?);
        let (kind, options) = (words.next()?, words.next()?);
        dir.starts_with(point).then(|| (point.len(), format!("{kind} on {device}, {options}")))
    });
    // Of mounts on the same point the last one is seen.
    mounts.max_by_key(|(len, _)| *len).map_or_else(|| "unknown".to_owned(), |(_, text)| text)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_innermost_and_last_mount_holds_a_directory() {
        let mounts = "/dev/a / ext4 rw 0 0\n/dev/b /data xfs rw 0 0\n/dev/c /data xfs ro 0 0\n/dev/d /dat btrfs rw 0 0\n";
        let of = |dir: &str| mount_of(Path::new(dir), mounts);
        assert_eq!(of("/data/x"), "xfs on /dev/c, ro");
        assert_eq!(of("/database"), "ext4 on /dev/a, rw");
    }
}
