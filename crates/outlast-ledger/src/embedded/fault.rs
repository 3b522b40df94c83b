//! What can go wrong inside, and what becomes of it: one batch refused, a whole group not kept, or the ledger latched.

use crate::LedgerError;
use rusqlite::ErrorCode;

/// Why one statement, decoding or assertion did not go well.
#[derive(Debug)]
pub(super) enum Fault {
    Sql(rusqlite::Error),
    /// The caller asserted something that does not hold, or gave what no row can hold.
    Refused(String),
    /// A row holds what we never wrote.
    Damaged(String),
}

/// How far a fault reaches.
#[derive(Debug)]
pub(super) enum Reach {
    /// This batch is undone; its neighbours in the group are kept.
    Batch(LedgerError),
    /// Nothing of the group is kept, and the ledger goes on.
    Group(LedgerError),
    /// What is on the disk is not known.
    Latch(String),
}

impl From<rusqlite::Error> for Fault {
    fn from(error: rusqlite::Error) -> Fault {
        Fault::Sql(error)
    }
}

impl From<rusqlite::Error> for Reach {
    fn from(error: rusqlite::Error) -> Reach {
        Fault::Sql(error).reach()
    }
}

impl Fault {
    pub fn refused(why: impl Into<String>) -> Fault {
        Fault::Refused(why.into())
    }

    pub fn damaged(why: impl Into<String>) -> Fault {
        Fault::Damaged(why.into())
    }

    /// How far it reaches when it happens to a write.
    pub fn reach(self) -> Reach {
        let error = match self {
            Fault::Refused(why) => return Reach::Batch(LedgerError::Refused { why }),
            Fault::Damaged(why) => return Reach::Batch(LedgerError::Damaged { why }),
            Fault::Sql(error) => error,
        };
        let why = error.to_string();
        match error.sqlite_error_code() {
            Some(ErrorCode::DiskFull) => Reach::Group(LedgerError::Full { why }),
            // Only somebody else's hand on the file can hold its write lock: ours is the only writer.
            Some(ErrorCode::DatabaseBusy | ErrorCode::DatabaseLocked) => Reach::Group(LedgerError::Refused {
                why: format!("another program holds the ledger's write lock ({why})"),
            }),
            Some(ErrorCode::TooBig | ErrorCode::ConstraintViolation | ErrorCode::TypeMismatch) => {
                Reach::Batch(LedgerError::Refused { why })
            }
            _ => Reach::Latch(why),
        }
    }

    /// What a reader hears. Reading never latches.
    pub fn of_read(self) -> LedgerError {
        match self {
            Fault::Refused(why) => LedgerError::Refused { why },
            Fault::Damaged(why) => LedgerError::Damaged { why },
            Fault::Sql(error) => {
                let why = error.to_string();
                match error.sqlite_error_code() {
                    Some(ErrorCode::DatabaseCorrupt | ErrorCode::NotADatabase) => LedgerError::Damaged { why },
                    _ => LedgerError::MustReopen { why },
                }
            }
        }
    }
}
