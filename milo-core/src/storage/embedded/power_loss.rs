//! Power loss at any moment: what was not synced is there in part, in pieces, or not at all.

use std::{
    collections::BTreeMap,
    fs::{self, File},
    io,
    path::{Path, PathBuf},
    sync::Arc,
};

use parking_lot::Mutex;
use redb::{Database, DatabaseError, StorageBackend};

use super::{
    crash::{Ledger, Random, Told, runs, work},
    open::Disk,
    *,
};
use crate::{
    key::GroupResource,
    scope::Scope,
    storage::index::{self, Position},
};

/// What a disk writes at once.
const SECTOR: usize = 512;
/// How often the power fails, when nobody says otherwise.
const CRASHES: usize = 600;

/// A disk whose power can fail. What is on it, in the end, is in the real files.
#[derive(Clone, Debug)]
struct Machine {
    state: Arc<Mutex<State>>,
}

#[derive(Debug)]
struct State {
    random: Random,
    /// Those that are open.
    files: BTreeMap<PathBuf, OpenFile>,
    /// How many writes and syncs begin before the power fails; none for no end.
    left: Option<u64>,
    power: bool,
    lost: Lost,
}

#[derive(Debug)]
struct OpenFile {
    /// What the last completed sync has made sure of.
    synced: Vec<u8>,
    /// What is read.
    current: Vec<u8>,
    /// Everything since the last completed sync.
    unsynced: Vec<Write>,
}

/// A file of the machine.
#[derive(Debug)]
struct Handle {
    machine: Machine,
    path: PathBuf,
}

/// What became of unsynced writes.
#[derive(Clone, Copy, Debug, Default)]
struct Lost {
    kept: usize,
    torn: usize,
    dropped: usize,
    /// Power losses with nothing unsynced.
    nothing: usize,
}

#[derive(Clone, Debug)]
enum Write {
    Data(usize, Vec<u8>),
    Length(usize),
}

impl Machine {
    fn new(seed: u64) -> Self {
        let state = State {
            random: Random::new(seed),
            files: BTreeMap::new(),
            left: None,
            power: true,
            lost: Lost::default(),
        };
        Self { state: Arc::new(Mutex::new(state)) }
    }

    fn fail_after(&self, operations: u64) {
        self.state.lock().left = Some(operations);
    }

    fn has_power(&self) -> bool {
        self.state.lock().power
    }

    /// Ends what still runs, and starts anew.
    fn restart(&self) {
        let mut state = self.state.lock();
        (state.power, state.left) = (true, None);
    }

    fn use_file(&self, path: &Path, contents: Vec<u8>) -> io::Result<Handle> {
        let mut state = self.state.lock();
        if !state.power {
            return Err(gone());
        }
        let file = OpenFile { synced: contents.clone(), current: contents, unsynced: Vec::new() };
        state.files.insert(path.to_owned(), file);
        Ok(Handle { machine: self.clone(), path: path.to_owned() })
    }

    fn use_database(&self, path: &Path, contents: Vec<u8>) -> Result<Database, DatabaseError> {
        let handle = self.use_file(path, contents)?;
        redb::Builder::new().set_cache_size(1024 * 1024).create_with_backend(handle)
    }
}

impl Disk for Machine {
    fn open(&self, file: &Path) -> Result<Database, DatabaseError> {
        self.use_database(file, fs::read(file)?)
    }

    fn create(&self, file: &Path, _: File) -> Result<Database, DatabaseError> {
        self.use_database(file, Vec::new())
    }

    fn journal(&self, file: &Path) -> io::Result<Box<dyn StorageBackend>> {
        let contents = match fs::read(file) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => Vec::new(),
            read => read?,
        };
        Ok(Box::new(self.use_file(file, contents)?))
    }
}

fn gone() -> io::Error {
    io::Error::other("the power is off")
}

impl State {
    fn file(&mut self, path: &Path) -> io::Result<&mut OpenFile> {
        self.files.get_mut(path).ok_or_else(gone)
    }

    /// Counts an operation that begins. The power may fail in the middle of it.
    fn count(&mut self, path: &Path, write: Option<Write>) -> io::Result<()> {
        if !self.power {
            return Err(gone());
        }
        self.file(path)?.unsynced.extend(write);
        match &mut self.left {
            Some(0) => {
                self.lose_power();
                return Err(gone());
            }
            Some(left) => *left -= 1,
            None => {}
        }
        Ok(())
    }

    fn lose_power(&mut self) {
        self.power = false;
        for (path, file) in std::mem::take(&mut self.files) {
            fs::write(path, self.remains(file)).unwrap();
        }
    }

    /// What is found when the power is back: all that was synced, and of the rest what chance
    /// makes of it.
    fn remains(&mut self, file: OpenFile) -> Vec<u8> {
        let OpenFile { synced: mut contents, unsynced: mut writes, .. } = file;
        self.lost.nothing += usize::from(writes.is_empty());
        let random = &mut self.random;
        // Sometimes nearly all, sometimes nearly nothing, sometimes about half.
        let (kept, torn) = (random.below(101), random.below(101));
        let ordered = random.one_in(2);
        while !writes.is_empty() {
            let at = if ordered {
                0
            } else {
                usize::try_from(random.below(writes.len() as u64)).unwrap()
            };
            let write = writes.remove(at);
            if random.below(100) >= kept {
                self.lost.dropped += 1;
                continue;
            }
            match write {
                Write::Length(length) => contents.resize(length, 0),
                Write::Data(offset, data) if random.below(100) < torn => {
                    self.lost.torn += 1;
                    let mut from = 0;
                    while from < data.len() {
                        let to = data.len().min(from + SECTOR - (offset + from) % SECTOR);
                        if random.one_in(2) {
                            put(&mut contents, offset + from, &data[from..to]);
                        }
                        from = to;
                    }
                }
                Write::Data(offset, data) => {
                    self.lost.kept += 1;
                    put(&mut contents, offset, &data);
                }
            }
        }
        contents
    }
}

/// Writes beyond the end make a file longer.
fn put(contents: &mut Vec<u8>, offset: usize, data: &[u8]) {
    let end = offset + data.len();
    if contents.len() < end {
        contents.resize(end, 0);
    }
    contents[offset..end].copy_from_slice(data);
}

fn place(offset: u64) -> usize {
    usize::try_from(offset).unwrap()
}

impl StorageBackend for Handle {
    fn len(&self) -> io::Result<u64> {
        let mut state = self.machine.state.lock();
        Ok(state.file(&self.path)?.current.len() as u64)
    }

    fn read(&self, offset: u64, out: &mut [u8]) -> io::Result<()> {
        let mut state = self.machine.state.lock();
        let from = place(offset);
        match state.file(&self.path)?.current.get(from..from + out.len()) {
            Some(found) => out.copy_from_slice(found),
            None => return Err(io::ErrorKind::UnexpectedEof.into()),
        }
        Ok(())
    }

    fn set_len(&self, length: u64) -> io::Result<()> {
        let mut state = self.machine.state.lock();
        state.count(&self.path, Some(Write::Length(place(length))))?;
        state.file(&self.path)?.current.resize(place(length), 0);
        Ok(())
    }

    fn write(&self, offset: u64, data: &[u8]) -> io::Result<()> {
        let mut state = self.machine.state.lock();
        state.count(&self.path, Some(Write::Data(place(offset), data.to_vec())))?;
        put(&mut state.file(&self.path)?.current, place(offset), data);
        Ok(())
    }

    fn sync_data(&self) -> io::Result<()> {
        let mut state = self.machine.state.lock();
        state.count(&self.path, None)?;
        let file = state.file(&self.path)?;
        for write in std::mem::take(&mut file.unsynced) {
            match write {
                Write::Data(offset, data) => put(&mut file.synced, offset, &data),
                Write::Length(length) => file.synced.resize(length, 0),
            }
        }
        Ok(())
    }

    /// Closing makes sure of nothing.
    fn close(&self) -> io::Result<()> {
        let mut state = self.machine.state.lock();
        if let Some(file) = state.files.remove(&self.path) {
            fs::write(&self.path, state.remains(file))?;
        }
        Ok(())
    }
}

impl Drop for Handle {
    fn drop(&mut self) {
        // redb closes what it lets go; the journal does not.
        StorageBackend::close(self).unwrap();
    }
}

/// Opens the directory; again, if the power fails meanwhile.
fn open(directory: &Path, machine: &Machine, random: &mut Random) -> (Embedded, usize) {
    let mut failures = 0;
    loop {
        machine.restart();
        if random.one_in(3) {
            machine.fail_after(random.below(12));
        }
        let opened = Embedded::builder().directory(directory).open_on(machine.clone());
        match opened {
            Ok(storage) if machine.has_power() => {
                machine.state.lock().left = None;
                return (storage, failures);
            }
            Ok(storage) => drop(storage),
            Err(error) => assert!(!machine.has_power(), "{error:?}"),
        }
        failures += 1;
    }
}

#[test]
fn power_loss_takes_nothing_that_was_acknowledged() {
    let seed = Random::seed();
    println!("seed {seed} (repeat with MILO_TEST_SEED={seed})");
    let crashes = runs("MILO_POWER_LOSS_RUNS", CRASHES);
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(lose_power(seed, crashes));
}

async fn lose_power(seed: u64, crashes: usize) {
    let directory = tempfile::tempdir().unwrap();
    let mut random = Random::new(seed);
    let machine = Machine::new(random.next());
    let mut ledger = Ledger::new(seed);
    let (mut done, mut opening) = (0, 0);
    let mut life = 0;
    while done < crashes {
        let (storage, failures) = open(directory.path(), &machine, &mut random);
        opening += failures;
        done += failures + 1;
        ledger.check(&storage, &mut random).await;
        life += 1;
        ledger.begin(life);
        let soon = !random.one_in(4);
        machine.fail_after(random.below(if soon { 60 } else { 600 }));
        let told: Mutex<Vec<Told>> = Mutex::default();
        work(&storage, seed, life, |what| told.lock().push(what)).await;
        assert!(!machine.has_power(), "it failed with the power on");
        told.into_inner().into_iter().for_each(|told| ledger.note(told));
        drop(storage);
    }
    let lost = machine.state.lock().lost;
    println!(
        "{done} power losses, {opening} of them while opening; {lost:?}; {:?}; revision {}",
        ledger.counts(),
        ledger.newest()
    );
}

/// An empty data file is complete before it has its name.
#[test]
fn power_loss_while_a_file_is_made_leaves_an_empty_store() {
    let mut random = Random::new(Random::seed());
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let mut operations = 0;
    loop {
        let directory = tempfile::tempdir().unwrap();
        let machine = Machine::new(random.next());
        machine.fail_after(operations);
        let opened = Embedded::builder().directory(directory.path()).open_on(machine.clone());
        let over = opened.is_ok();
        drop(opened);
        machine.restart();
        let storage = Embedded::builder().directory(directory.path()).open_on(machine).unwrap();
        runtime.block_on(Ledger::new(0).check(&storage, &mut random));
        if over {
            break;
        }
        operations += 1;
    }
    assert!(operations > 10, "{operations}");
}

/// A frame of the second segment that counts is not all there, and nothing is in the first.
#[test]
fn what_is_left_of_a_frame_is_not_found_behind_later_commits() {
    let directory = tempfile::tempdir().unwrap();
    let key = |name| {
        let widgets = GroupResource::new("demo.example.com", "widgets");
        Key::object(&widgets, &Scope::Platform, "ns", name).unwrap()
    };
    let opened = open::open(directory.path(), RealDisk).unwrap();
    let (mut journal, last) = (opened.journal, opened.found.revision);
    let position = Position { revision: last.next(), index: 0 };
    let value = Some(vec![b'v'; 9000].into());
    let row = index::Row { position, key: key("lost"), value, previous: None };
    journal.turn();
    journal.append(last, &plan::Plan { rows: vec![row], revision: last.next() }).unwrap();
    drop((journal, opened.log, opened.lock));
    let file = directory.path().join("milo.journal-1");
    let mut contents = fs::read(&file).unwrap();
    contents[4096..].fill(0);
    fs::write(&file, contents).unwrap();

    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(async {
        for name in ["one", "two"] {
            let storage = Embedded::open(directory.path()).unwrap();
            let put = Transaction::new().put(key(name), "kept".into());
            storage.commit(put).await.unwrap();
        }
        let storage = Embedded::open(directory.path()).unwrap();
        for (name, is_there) in [("one", true), ("two", true), ("lost", false)] {
            assert_eq!(storage.get(&key(name)).await.unwrap().is_some(), is_there, "{name}");
        }
    });
}
