//! SQLite on a `Disk`: a VFS whose files are `Disk` files. Everything that SQLite's C interface asks of us is here.
//!
//! One VFS serves all disks; a file is named `<number of the disk>-<file>`. There is no shared memory, so a connection must
//! be in exclusive locking mode, which keeps the WAL's index on its own heap.

#![allow(unsafe_code, reason = "a VFS is a table of C functions over raw pointers; production code has none of it")]

use super::disk::{Disk, DiskError};
use rusqlite::ffi;
use rusqlite::{Connection, OpenFlags};
use std::collections::BTreeMap;
use std::ffi::{CStr, c_char, c_int, c_void};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, Once};

const NAME: &CStr = c"forgetful";

static NEXT: AtomicU64 = AtomicU64::new(1);
static DISKS: Mutex<BTreeMap<u64, Arc<Mutex<Disk>>>> = Mutex::new(BTreeMap::new());

/// A disk that SQLite can reach for as long as this lives.
pub struct Mounted {
    number: u64,
    pub disk: Arc<Mutex<Disk>>,
}

impl Mounted {
    pub fn new(disk: Disk) -> Mounted {
        register();
        let disk = Arc::new(Mutex::new(disk));
        // Never used again: a connection that is closed late removes its WAL by name.
        let number = NEXT.fetch_add(1, Ordering::Relaxed);
        DISKS.lock().unwrap().insert(number, disk.clone());
        Mounted { number, disk }
    }

    /// As `Core::open` does it on a real disk: first the WAL is written over itself and synced.
    pub fn connect(&self) -> rusqlite::Result<Connection> {
        let wal = "ledger.sqlite-wal";
        let mut disk = held(&self.disk);
        let bytes = disk.content(wal).to_vec();
        if !bytes.is_empty() && (disk.write(wal, 0, &bytes).is_err() || disk.sync(wal).is_err()) {
            let why = "the WAL could not be written again".to_owned();
            return Err(rusqlite::Error::SqliteFailure(ffi::Error::new(ffi::SQLITE_IOERR), Some(why)));
        }
        drop(disk);
        let flags = OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_CREATE | OpenFlags::SQLITE_OPEN_NO_MUTEX;
        let conn = Connection::open_with_flags_and_vfs(format!("{}-ledger.sqlite", self.number), flags, NAME)?;
        conn.query_row("PRAGMA locking_mode = EXCLUSIVE", [], |_| Ok(()))?;
        Ok(conn)
    }
}

impl Drop for Mounted {
    fn drop(&mut self) {
        DISKS.lock().unwrap().remove(&self.number);
    }
}

/// What SQLite keeps for us per open file: its own part first, as its interface wants.
#[repr(C)]
struct Handle {
    base: ffi::sqlite3_file,
    file: *mut OpenFile,
}

enum OpenFile {
    Named {
        disk: Arc<Mutex<Disk>>,
        name: String,
        delete_on_close: bool,
    },
    /// SQLite's temporary files: nothing of them needs to survive anything.
    Temporary(Vec<u8>),
}

/// `7-ledger.sqlite-wal` is the file `ledger.sqlite-wal` of disk 7.
fn find(name: &CStr) -> Option<(Arc<Mutex<Disk>>, String)> {
    let (number, file) = name.to_str().ok()?.split_once('-')?;
    let disk = DISKS.lock().unwrap().get(&number.parse().ok()?)?.clone();
    Some((disk, file.to_owned()))
}

fn held(disk: &Mutex<Disk>) -> MutexGuard<'_, Disk> {
    disk.lock().unwrap()
}

/// # Safety
/// `file` is one that `open` below filled in and `close` has not yet freed; SQLite uses it from one thread at a time.
unsafe fn opened<'a>(file: *mut ffi::sqlite3_file) -> &'a mut OpenFile {
    unsafe { &mut *(*file.cast::<Handle>()).file }
}

unsafe extern "C" fn open(
    _: *mut ffi::sqlite3_vfs,
    name: *const c_char,
    file: *mut ffi::sqlite3_file,
    flags: c_int,
    out_flags: *mut c_int,
) -> c_int {
    unsafe {
        (*file).pMethods = std::ptr::null();
        let open_file = if name.is_null() {
            OpenFile::Temporary(Vec::new())
        } else {
            let Some((disk, name)) = find(CStr::from_ptr(name)) else { return ffi::SQLITE_CANTOPEN };
            if !held(&disk).exists(&name) {
                if flags & ffi::SQLITE_OPEN_CREATE == 0 {
                    return ffi::SQLITE_CANTOPEN;
                }
                held(&disk).create(&name);
            }
            OpenFile::Named { disk, name, delete_on_close: flags & ffi::SQLITE_OPEN_DELETEONCLOSE != 0 }
        };
        (*file.cast::<Handle>()).file = Box::into_raw(Box::new(open_file));
        (*file).pMethods = &METHODS;
        if !out_flags.is_null() {
            *out_flags = flags;
        }
    }
    ffi::SQLITE_OK
}

unsafe extern "C" fn close(file: *mut ffi::sqlite3_file) -> c_int {
    let file = unsafe { Box::from_raw((*file.cast::<Handle>()).file) };
    if let OpenFile::Named { disk, name, delete_on_close: true } = *file {
        held(&disk).delete(&name, false);
    }
    ffi::SQLITE_OK
}

unsafe extern "C" fn read(file: *mut ffi::sqlite3_file, to: *mut c_void, len: c_int, at: i64) -> c_int {
    let (len, at) = (len as usize, at as usize);
    let to = unsafe { std::slice::from_raw_parts_mut(to.cast::<u8>(), len) };
    let mut fill = |content: &[u8]| {
        let there = content.get(at..).unwrap_or(&[]);
        let there = &there[..there.len().min(len)];
        to[..there.len()].copy_from_slice(there);
        to[there.len()..].fill(0);
        if there.len() == len { ffi::SQLITE_OK } else { ffi::SQLITE_IOERR_SHORT_READ }
    };
    match unsafe { opened(file) } {
        OpenFile::Named { disk, name, .. } => fill(held(disk).content(name)),
        OpenFile::Temporary(content) => fill(content),
    }
}

unsafe extern "C" fn write(file: *mut ffi::sqlite3_file, from: *const c_void, len: c_int, at: i64) -> c_int {
    let (len, at) = (len as usize, at as usize);
    let from = unsafe { std::slice::from_raw_parts(from.cast::<u8>(), len) };
    match unsafe { opened(file) } {
        OpenFile::Named { disk, name, .. } => match held(disk).write(name, at, from) {
            Ok(()) => ffi::SQLITE_OK,
            Err(DiskError::Io) => ffi::SQLITE_IOERR_WRITE,
            Err(DiskError::Full) => ffi::SQLITE_FULL,
        },
        OpenFile::Temporary(content) => {
            content.resize(content.len().max(at + len), 0);
            content[at..at + len].copy_from_slice(from);
            ffi::SQLITE_OK
        }
    }
}

unsafe extern "C" fn truncate(file: *mut ffi::sqlite3_file, len: i64) -> c_int {
    match unsafe { opened(file) } {
        OpenFile::Named { disk, name, .. } => held(disk).truncate(name, len as usize),
        OpenFile::Temporary(content) => content.truncate(len as usize),
    }
    ffi::SQLITE_OK
}

unsafe extern "C" fn sync(file: *mut ffi::sqlite3_file, _: c_int) -> c_int {
    match unsafe { opened(file) } {
        OpenFile::Named { disk, name, .. } => match held(disk).sync(name) {
            Ok(()) => ffi::SQLITE_OK,
            Err(_) => ffi::SQLITE_IOERR_FSYNC,
        },
        OpenFile::Temporary(_) => ffi::SQLITE_OK,
    }
}

unsafe extern "C" fn file_size(file: *mut ffi::sqlite3_file, size: *mut i64) -> c_int {
    let len = match unsafe { opened(file) } {
        OpenFile::Named { disk, name, .. } => held(disk).content(name).len(),
        OpenFile::Temporary(content) => content.len(),
    };
    unsafe { *size = len as i64 };
    ffi::SQLITE_OK
}

unsafe extern "C" fn lock(_: *mut ffi::sqlite3_file, _: c_int) -> c_int {
    ffi::SQLITE_OK
}

unsafe extern "C" fn check_reserved_lock(_: *mut ffi::sqlite3_file, is_locked: *mut c_int) -> c_int {
    unsafe { *is_locked = 0 };
    ffi::SQLITE_OK
}

unsafe extern "C" fn file_control(_: *mut ffi::sqlite3_file, _: c_int, _: *mut c_void) -> c_int {
    ffi::SQLITE_NOTFOUND
}

unsafe extern "C" fn sector_size(_: *mut ffi::sqlite3_file) -> c_int {
    4096
}

/// As SQLite assumes of every file on Unix: a write does not harm bytes beside it.
unsafe extern "C" fn device_characteristics(_: *mut ffi::sqlite3_file) -> c_int {
    ffi::SQLITE_IOCAP_POWERSAFE_OVERWRITE
}

unsafe extern "C" fn delete(_: *mut ffi::sqlite3_vfs, name: *const c_char, sync_dir: c_int) -> c_int {
    let Some((disk, name)) = find(unsafe { CStr::from_ptr(name) }) else { return ffi::SQLITE_IOERR_DELETE };
    if !held(&disk).exists(&name) {
        return ffi::SQLITE_IOERR_DELETE_NOENT;
    }
    held(&disk).delete(&name, sync_dir != 0);
    ffi::SQLITE_OK
}

unsafe extern "C" fn access(_: *mut ffi::sqlite3_vfs, name: *const c_char, _: c_int, out: *mut c_int) -> c_int {
    let found = find(unsafe { CStr::from_ptr(name) }).is_some_and(|(disk, name)| held(&disk).exists(&name));
    unsafe { *out = c_int::from(found) };
    ffi::SQLITE_OK
}

unsafe extern "C" fn full_pathname(
    _: *mut ffi::sqlite3_vfs,
    name: *const c_char,
    len: c_int,
    out: *mut c_char,
) -> c_int {
    let name = unsafe { CStr::from_ptr(name) }.to_bytes_with_nul();
    if name.len() > len as usize {
        return ffi::SQLITE_CANTOPEN;
    }
    unsafe { std::ptr::copy_nonoverlapping(name.as_ptr().cast(), out, name.len()) };
    ffi::SQLITE_OK
}

/// The salts of the WAL: any bytes do, and the same ones make each run the same.
unsafe extern "C" fn randomness(_: *mut ffi::sqlite3_vfs, len: c_int, out: *mut c_char) -> c_int {
    let out = unsafe { std::slice::from_raw_parts_mut(out.cast::<u8>(), len as usize) };
    out.iter_mut().zip(1u8..).for_each(|(byte, n)| *byte = n.wrapping_mul(73));
    len
}

unsafe extern "C" fn sleep(_: *mut ffi::sqlite3_vfs, _: c_int) -> c_int {
    0
}

unsafe extern "C" fn current_time(_: *mut ffi::sqlite3_vfs, out: *mut f64) -> c_int {
    unsafe { *out = 2_461_000.5 };
    ffi::SQLITE_OK
}

static METHODS: ffi::sqlite3_io_methods = ffi::sqlite3_io_methods {
    iVersion: 1,
    xClose: Some(close),
    xRead: Some(read),
    xWrite: Some(write),
    xTruncate: Some(truncate),
    xSync: Some(sync),
    xFileSize: Some(file_size),
    xLock: Some(lock),
    xUnlock: Some(lock),
    xCheckReservedLock: Some(check_reserved_lock),
    xFileControl: Some(file_control),
    xSectorSize: Some(sector_size),
    xDeviceCharacteristics: Some(device_characteristics),
    xShmMap: None,
    xShmLock: None,
    xShmBarrier: None,
    xShmUnmap: None,
    xFetch: None,
    xUnfetch: None,
};

fn register() {
    static ONCE: Once = Once::new();
    ONCE.call_once(|| {
        let vfs = Box::new(ffi::sqlite3_vfs {
            iVersion: 1,
            szOsFile: size_of::<Handle>() as c_int,
            mxPathname: 256,
            pNext: std::ptr::null_mut(),
            zName: NAME.as_ptr(),
            pAppData: std::ptr::null_mut(),
            xOpen: Some(open),
            xDelete: Some(delete),
            xAccess: Some(access),
            xFullPathname: Some(full_pathname),
            xDlOpen: None,
            xDlError: None,
            xDlSym: None,
            xDlClose: None,
            xRandomness: Some(randomness),
            xSleep: Some(sleep),
            xCurrentTime: Some(current_time),
            xGetLastError: None,
            xCurrentTimeInt64: None,
            xSetSystemCall: None,
            xGetSystemCall: None,
            xNextSystemCall: None,
        });
        // SQLite keeps the pointer for the life of the process, so the table is never freed.
        let code = unsafe { ffi::sqlite3_vfs_register(Box::leak(vfs), 0) };
        assert_eq!(code, ffi::SQLITE_OK);
    });
}
