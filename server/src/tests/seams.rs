//! The seams: each thing that the machine decides is named in one file, so that simulation can decide it. Files have
//! a second one, for tools that must not change any.

use std::fs;
use std::path::{Path, PathBuf};

/// What may be named in these files only, of the engine and of the server.
const SEAMS: [(&[&str], &[&str], &[&str]); 5] = [
    (&["tokio_uring"], &[], &["net/runtime.rs"]),
    (&["TcpStream", "TcpListener", "UdpSocket", "UnixStream", "socket2"], &[], &["net/socket.rs"]),
    (&["SystemTime", "Instant", "clock_gettime"], &[], &["clock.rs"]),
    (&["rand::", "getrandom", "fastrand", "RandomState"], &[], &["random.rs"]),
    (&["std::fs", "fs::File", "OpenOptions", "tokio::fs"], &["disk/os.rs", "disk/read_only.rs"], &[]),
];

/// All files but those of modules that only tests have.
fn sources(dir: &Path, found: &mut Vec<PathBuf>) {
    let of_tests = modules_of_tests(dir);
    for entry in fs::read_dir(dir).unwrap() {
        let path = entry.unwrap().path();
        if of_tests.iter().any(|module| path.file_stem().unwrap() == module.as_str()) {
            continue;
        }
        if path.is_dir() {
            sources(&path, found);
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            found.push(path);
        }
    }
}

fn modules_of_tests(dir: &Path) -> Vec<String> {
    let declarations =
        ["lib.rs", "mod.rs"].map(|file| fs::read_to_string(dir.join(file)).unwrap_or_default());
    let declarations = declarations.concat();
    let behind = declarations.split("#[cfg(test)]\n").skip(1).filter_map(|rest| rest.split(';').next());
    behind.filter_map(|line| Some(line.rsplit_once("mod ")?.1.to_owned())).collect()
}

/// The part of a file that is not tests, without comments.
fn code(path: &Path) -> String {
    let text = fs::read_to_string(path).unwrap();
    let code = text.split("#[cfg(test)]\nmod tests {").next().unwrap();
    code.lines().filter(|line| !line.trim_start().starts_with("//")).collect::<Vec<_>>().join("\n")
}

fn files_naming(words: &[&str], src: &Path) -> Vec<String> {
    let mut files = Vec::new();
    sources(src, &mut files);
    let names = files.into_iter().filter(|path| {
        let code = code(path);
        words.iter().any(|word| code.contains(word))
    });
    let mut names: Vec<String> =
        names.map(|path| path.strip_prefix(src).unwrap().to_str().unwrap().to_owned()).collect();
    names.sort();
    names
}

#[test]
fn sockets_clocks_randomness_files_and_the_ring_runtime_are_named_where_they_may_be() {
    let server = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    let engine = server.join("../../engine/src");
    for (words, in_engine, in_server) in SEAMS {
        let found = (files_naming(words, &engine), files_naming(words, &server));
        let expected = |files: &[&str]| files.iter().map(|file| (*file).to_owned()).collect::<Vec<_>>();
        assert_eq!(found, (expected(in_engine), expected(in_server)), "{words:?}");
    }
}
