//! Files that nobody else may read, written so that no reader ever sees half of one.

use std::{
    fs::{self, DirBuilder, File, TryLockError},
    io::{self, ErrorKind, Write as _},
    path::Path,
};

/// Creates a directory that only its owner may enter, with its parents. One that exists is left
/// as it is.
pub(crate) fn create_directory(path: &Path) -> io::Result<()> {
    let mut builder = DirBuilder::new();
    builder.recursive(true);
    #[cfg(unix)]
    std::os::unix::fs::DirBuilderExt::mode(&mut builder, 0o700);
    builder.create(path)
}

/// Holds off other processes that would create files in the same directory, until dropped.
pub(crate) fn lock_directory(path: &Path) -> io::Result<File> {
    let file = File::options().create(true).truncate(false).write(true).open(path.join(".lock"))?;
    match file.try_lock() {
        Ok(()) => {}
        Err(TryLockError::WouldBlock) => file.lock()?,
        // Some network file systems cannot lock: then only one process may start at a time.
        Err(TryLockError::Error(error)) if error.kind() == ErrorKind::Unsupported => {}
        Err(TryLockError::Error(error)) => return Err(error),
    }
    Ok(file)
}

/// Reads a text file; `None` when there is none.
pub(crate) fn read_optional(path: &Path) -> io::Result<Option<String>> {
    match fs::read_to_string(path) {
        Ok(content) => Ok(Some(content)),
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(None),
        Err(error) => Err(error),
    }
}

/// Writes a file with mode 0600, all at once: a temporary file in the same directory, created
/// with that mode, is written, flushed to disk and renamed over the old one.
pub(crate) fn write_private(path: &Path, content: &str) -> io::Result<()> {
    let directory = match path.parent() {
        Some(parent) if !parent.as_os_str().is_empty() => parent,
        _ => Path::new("."),
    };
    let mut file = tempfile::Builder::new().prefix(".new-").tempfile_in(directory)?;
    file.write_all(content.as_bytes())?;
    file.as_file().sync_all()?;
    file.persist(path).map_err(|error| error.error)?;
    #[cfg(unix)]
    File::open(directory)?.sync_all()?;
    Ok(())
}

#[cfg(test)]
#[cfg(unix)]
mod tests {
    use std::os::unix::fs::{PermissionsExt as _, symlink};

    use super::*;

    fn mode(path: &Path) -> u32 {
        fs::metadata(path).unwrap().permissions().mode() & 0o777
    }

    #[test]
    fn modes_are_tight_from_the_start() {
        let root = tempfile::tempdir().unwrap();
        let directory = root.path().join("a/b");
        create_directory(&directory).unwrap();
        create_directory(&directory).unwrap();
        assert_eq!(mode(&directory), 0o700);
        let file = directory.join("key");
        write_private(&file, "one").unwrap();
        write_private(&file, "two").unwrap();
        assert_eq!(mode(&file), 0o600);
        assert_eq!(fs::read_to_string(&file).unwrap(), "two");
        assert_eq!(fs::read_dir(&directory).unwrap().count(), 1, "temporary files are left");
    }

    #[test]
    fn a_loose_file_is_replaced_not_reused() {
        let root = tempfile::tempdir().unwrap();
        let (target, link) = (root.path().join("target"), root.path().join("link"));
        fs::write(&target, "theirs").unwrap();
        symlink(&target, &link).unwrap();
        write_private(&link, "ours").unwrap();
        assert_eq!(fs::read_to_string(&target).unwrap(), "theirs");
        assert_eq!(mode(&link), 0o600);
    }

    #[test]
    fn reading_nothing_is_not_an_error() {
        assert!(read_optional(Path::new("/nowhere/x")).unwrap().is_none());
        assert!(read_optional(Path::new("/")).is_err());
    }
}
