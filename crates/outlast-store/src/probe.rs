//! What one native bucket really does, found out by acting on it: the probe decides, not the vendor's table.

use crate::{Answer, Applied, At, Body, Dress, Fault, NativePart, PutSpec, Store, StoreError};
use bytes::Bytes;
use futures_util::StreamExt;
use md5::{Digest, Md5};
use outlast_rules::{Epoch, Fence, Grades, Head, Pin, Powers, Seq, Stamp, WriteId};
use serde::{Deserialize, Serialize};

/// Keys of the probe; hidden from clients with everything of ours.
const PREFIX: &str = ".outlast/probe/";
/// An ETag that no copy has: 32 digits, as some services refuse others by their form.
const WRONG_ETAG: &str = "00000000000000000000000000000bad";
/// A copy is overwritten and looked at so often; a HEAD that lags shows itself soon.
const LOOKS: usize = 4;

/// What the store did with If-Match and If-None-Match on one operation.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, Default)]
#[serde(rename_all = "snake_case")]
pub enum Treatment {
    Honoured,
    /// One of the two was honoured.
    Partly,
    /// Accepted with a 200 and not looked at.
    #[default]
    Ignored,
    /// Refused with an error that says so, as 501.
    Refused,
}

/// The same for each class of commit call.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, Default)]
pub struct Treatments {
    pub put: Treatment,
    pub complete: Treatment,
    pub copy: Treatment,
    pub delete: Treatment,
}

/// What was found, to be kept with its date.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, Default)]
pub struct ProbeReport {
    pub grades: Grades,
    pub conditions: Treatments,
    /// Our stamp and the user's metadata come back as they were put.
    pub stamp_kept: bool,
    pub etag_is_md5: bool,
    /// HEAD shows a write, and a delete, as soon as it was answered.
    pub read_after_write: bool,
    /// Slashes at the start of a key are dropped, or refused: `/a` would lie on top of `a`. None: an older probe did not ask.
    #[serde(default)]
    pub drops_slashes: Option<bool>,
    /// What it says of its native versions. None: an older probe did not ask.
    #[serde(default)]
    pub keeps_versions: Option<bool>,
    /// A server-side copy whose source is named by an ETag that is not there is refused. None: an older probe did not ask, or
    /// it makes no copies.
    #[serde(default)]
    pub pins_sources: Option<bool>,
    /// What is out of the ordinary, in words.
    pub findings: Vec<String>,
}

impl ProbeReport {
    /// May copies here count as places at all?
    ///
    /// # Errors
    /// The reason, fit for `check` and the status page.
    pub fn fit_as_place(&self) -> Result<(), String> {
        if !self.stamp_kept {
            return Err(
                "it does not keep metadata: our stamp is lost, so nobody could tell which write a copy is of".into()
            );
        }
        let looks_at_none = self.conditions.put == Treatment::Ignored && self.pins_sources != Some(true);
        if looks_at_none && !self.grades.put.pinned {
            return Err(
                "it accepts every condition, of writes and of what it is to copy, and ignores them all, and keeps no \
                        versions: its yes to a call says nothing of what it did"
                    .into(),
            );
        }
        if !self.read_after_write {
            return Err(
                "HEAD lags behind writes: what it says of a copy may be what was there before, and a write that stands would \
                        be taken for one that never was"
                    .into(),
            );
        }
        Ok(())
    }

    /// What a fit store is weak in; nothing for a store without weaknesses.
    pub fn weaknesses(&self) -> Vec<String> {
        let mut weak = Vec::new();
        let calls = [
            ("PUT", self.conditions.put, self.grades.put),
            ("CompleteMultipartUpload", self.conditions.complete, self.grades.complete),
            ("CopyObject", self.conditions.copy, self.grades.copy),
            ("DELETE", self.conditions.delete, self.grades.delete),
        ];
        for (call, treatment, powers) in calls {
            if powers.pinned || powers.fenced {
                continue;
            }
            weak.push(match treatment {
                Treatment::Ignored => format!("{call} accepts conditions and ignores them"),
                Treatment::Partly => format!("{call} honours only one of If-Match and If-None-Match"),
                Treatment::Refused => format!("{call} refuses conditions"),
                Treatment::Honoured => format!("{call} honours conditions, but not reliably"),
            });
        }
        if self.drops_slashes == Some(true) {
            weak.push(
                "it drops slashes at the start of a key: keys like /a are refused in buckets that live here".into(),
            );
        }
        weak
    }
}

/// Acts on `bucket` under `.outlast/probe/<token>-…` and cleans up, by version id where versions are kept. There, one
/// delete marker without a version under it stays: its id is not told.
///
/// # Errors
/// The store could not be asked: not there, not allowed, no answer. What it refuses of conditions is a finding.
pub async fn probe(store: &dyn Store, bucket: &str, token: &str) -> Answer<ProbeReport> {
    let mut probe = Probe { store, bucket, token, made: Vec::new(), report: ProbeReport::default() };
    let acted = probe.act().await;
    let tidied = probe.tidy().await;
    acted?;
    tidied?;
    Ok(probe.report)
}

struct Probe<'a> {
    store: &'a dyn Store,
    bucket: &'a str,
    token: &'a str,
    /// Everything that was left, to be removed.
    made: Vec<(At, Pin)>,
    report: ProbeReport,
}

/// Which call is being tried.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Call {
    Put,
    Complete,
    Copy,
}

/// How one condition that does not hold was taken.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Taken {
    Honoured,
    Ignored,
    Refused,
}

impl Probe<'_> {
    async fn act(&mut self) -> Answer<()> {
        // First: Garage gives version ids with every PUT and keeps none, and only the question shows it.
        self.report.keeps_versions = Some(self.store.keeps_versions(self.bucket).await?);
        self.metadata_and_etag().await?;
        self.read_after_write().await?;
        self.leading_slashes().await?;
        self.report.grades.put = self.powers(Call::Put, "put").await?;
        self.report.grades.complete = self.powers(Call::Complete, "complete").await?;
        self.report.grades.copy = self.powers(Call::Copy, "copy").await?;
        self.report.pins_sources = self.source_pins().await?;
        self.report.grades.delete = self.delete_powers().await?;
        Ok(())
    }

    fn at(&self, what: &str) -> At {
        At::new(self.bucket, format!("{PREFIX}{}-{what}", self.token))
    }

    fn find(&mut self, finding: impl Into<String>) {
        self.report.findings.push(finding.into());
    }

    async fn put(&mut self, at: &At, content: &str, dress: Dress) -> Answer<Pin> {
        let spec = PutSpec { dress, ..PutSpec::default() };
        let pin = self.store.put(at, &spec, Body::Whole(Bytes::from(content.to_owned()))).await?;
        self.made.push((at.clone(), pin.clone()));
        Ok(pin)
    }

    async fn metadata_and_etag(&mut self) -> Answer<()> {
        let at = self.at("stamp");
        let content = "which write is this?";
        let stamp = Stamp {
            epoch: Epoch(1),
            seq: Some(Seq(1)),
            write: WriteId(u128::MAX / 3),
            name: [7; 16],
            size: Some(content.len() as u64),
            digest: None,
        };
        let metadata = [("outlast-probe".to_owned(), "As-It-Was".to_owned())].into();
        let head = Head { content_type: Some("text/x-outlast".into()), metadata, ..Head::default() };
        let dress = Dress { head, stamp: Some(stamp) };
        let pin = self.put(&at, content, dress.clone()).await?;
        let found = self.store.head(&at, None).await?;
        self.report.stamp_kept = found.dress.stamp == dress.stamp;
        if found.dress.stamp != dress.stamp {
            self.find("the stamp did not come back");
        }
        if found.dress.head.metadata != dress.head.metadata {
            self.find("user metadata comes back changed");
        }
        if found.dress.head.content_type != dress.head.content_type {
            self.find("Content-Type comes back changed");
        }
        let md5: String = Md5::digest(content).iter().map(|b| format!("{b:02x}")).collect();
        self.report.etag_is_md5 = pin.etag == md5;
        Ok(())
    }

    async fn read_after_write(&mut self) -> Answer<()> {
        let at = self.at("look");
        let mut seen_at_once = true;
        for round in 0..LOOKS {
            let pin = self.put(&at, &format!("look {round}"), Dress::default()).await?;
            seen_at_once &= self.shows(&at, &pin).await?;
        }
        self.report.read_after_write = seen_at_once;
        if !seen_at_once {
            self.find("HEAD showed an older copy right after a PUT was answered");
        }
        Ok(())
    }

    async fn leading_slashes(&mut self) -> Answer<()> {
        let at = self.at("slash");
        self.put(&at, "without a slash before it", Dress::default()).await?;
        let other = At::new(self.bucket, format!("/{}", at.key));
        let drops = match self.store.head(&other, None).await {
            Ok(_) => true,
            Err(error) if error.fault == Fault::NoKey => false,
            Err(error) if error.fault == Fault::BadRequest => true,
            Err(error) => return Err(error),
        };
        if drops {
            self.find("a slash at the start of a key is dropped: /a and a are one");
        }
        self.report.drops_slashes = Some(drops);
        Ok(())
    }

    async fn shows(&self, at: &At, pin: &Pin) -> Answer<bool> {
        match self.store.head(at, None).await {
            Ok(found) => Ok(found.pin.etag == pin.etag && (pin.version.is_none() || found.pin.version == pin.version)),
            Err(error) if error.fault == Fault::NoKey => Ok(false),
            Err(error) => Err(error),
        }
    }

    /// One commit call of this kind, always with the same bytes.
    async fn commit(&mut self, call: Call, at: &At, fence: Option<Fence>) -> Answer<Pin> {
        let body = Bytes::from_static(b"the same bytes each time");
        let spec = PutSpec { fence, ..PutSpec::default() };
        let answer = match call {
            Call::Put => self.store.put(at, &spec, Body::Whole(body)).await,
            Call::Copy => {
                let from = self.at("source");
                let source = self.put(&from, "the same source each time", Dress::default()).await?;
                self.store.copy(&from, &source, at, &spec).await
            }
            Call::Complete => {
                let id = self.store.create_upload(at, &Dress::default()).await?;
                let size = body.len() as u64;
                let etag = self.store.put_part(at, &id, 1, Body::Whole(body), None).await?;
                let part = NativePart { number: 1, size, etag };
                let answer = self.store.complete_upload(at, &id, &[part], spec.fence.as_ref()).await;
                if answer.is_err() {
                    self.abort(at, &id).await?;
                }
                answer
            }
        };
        if let Ok(pin) = &answer {
            self.made.push((at.clone(), pin.clone()));
        }
        answer
    }

    /// A copy of what does not lie there: the only condition of a read that no reader can judge himself.
    async fn source_pins(&mut self) -> Answer<Option<bool>> {
        let (from, to) = (self.at("source"), self.at("of-another"));
        self.put(&from, "the source of nothing", Dress::default()).await?;
        let wrong = Pin { etag: WRONG_ETAG.into(), version: None };
        let answer = self.store.copy(&from, &wrong, &to, &PutSpec::default()).await;
        if let Ok(pin) = &answer {
            self.made.push((to, pin.clone()));
            self.find("a copy is made of whatever lies at its source, which is named by its ETag");
        }
        Ok(match taken(answer)? {
            Taken::Honoured => Some(true),
            Taken::Ignored => Some(false),
            Taken::Refused => None,
        })
    }

    async fn abort(&self, at: &At, id: &str) -> Answer<()> {
        match self.store.abort_upload(at, id).await {
            Err(error) if error.fault != Fault::NoUpload => Err(error),
            _ => Ok(()),
        }
    }

    async fn powers(&mut self, call: Call, what: &str) -> Answer<Powers> {
        let at = self.at(what);
        let first = match self.commit(call, &at, None).await {
            Err(error) if error.fault == Fault::Unsupported => {
                self.find(format!("{what} is not implemented: {}", error.message));
                self.treat(call, Treatment::Refused);
                return Ok(Powers::default());
            }
            other => other?,
        };
        let again = self.commit(call, &at, None).await?;
        let unique = first.etag != again.etag;
        let pinned = self.still_there(&at, &first, &again).await?;
        let on_absent = self.try_fence(call, &at, Fence::Absent, what).await?;
        let on_wrong = self.try_fence(call, &at, Fence::Matches(WRONG_ETAG.into()), what).await?;
        let treatment = treatment_of(on_absent, on_wrong);
        self.treat(call, treatment);
        let fenced = treatment == Treatment::Honoured && self.accepts_what_holds(call, &at, what).await?;
        Ok(Powers { pinned, fenced, unique: fenced && unique })
    }

    fn treat(&mut self, call: Call, treatment: Treatment) {
        let conditions = &mut self.report.conditions;
        match call {
            Call::Put => conditions.put = treatment,
            Call::Complete => conditions.complete = treatment,
            Call::Copy => conditions.copy = treatment,
        }
    }

    /// Is the overwritten copy kept under its version id?
    async fn still_there(&mut self, at: &At, old: &Pin, new: &Pin) -> Answer<bool> {
        let (Some(id), true) = (&old.version, old.version != new.version) else { return Ok(false) };
        match self.store.get(at, Some(old), None).await {
            Ok((found, mut bytes)) => {
                while let Some(chunk) = bytes.next().await {
                    if chunk.is_err() {
                        return Ok(false);
                    }
                }
                Ok(found.pin.version.as_ref() == Some(id))
            }
            Err(error) if error.fault == Fault::NoKey => {
                self.find("a version id was given, but the version is gone after an overwrite");
                Ok(false)
            }
            Err(error) => Err(error),
        }
    }

    /// A fence that does not hold: nothing may change.
    async fn try_fence(&mut self, call: Call, at: &At, fence: Fence, what: &str) -> Answer<Taken> {
        let before = self.store.head(at, None).await?.pin;
        let name = name_of(&fence);
        let taken = taken(self.commit(call, at, Some(fence)).await)?;
        match taken {
            Taken::Honoured if self.store.head(at, None).await?.pin != before => {
                self.find(format!("{what} with {name} answered 412 and was applied all the same"));
                Ok(Taken::Ignored)
            }
            Taken::Ignored => {
                self.find(format!("{what} accepts {name} and ignores it"));
                Ok(Taken::Ignored)
            }
            other => Ok(other),
        }
    }

    /// Fences that hold must let a call through, or every write would fail.
    async fn accepts_what_holds(&mut self, call: Call, at: &At, what: &str) -> Answer<bool> {
        let there = self.store.head(at, None).await?.pin.etag;
        let fresh = self.at(&format!("{what}-fresh"));
        for (at, fence) in [(at, Fence::Matches(there)), (&fresh, Fence::Absent)] {
            let name = name_of(&fence);
            if let Err(error) = self.commit(call, at, Some(fence)).await {
                if error.applied != Applied::No {
                    return Err(error);
                }
                self.find(format!("{what} with {name} that holds is refused: {}", error.message));
                return Ok(false);
            }
        }
        Ok(true)
    }

    async fn delete_powers(&mut self) -> Answer<Powers> {
        let at = self.at("delete");
        let pin = self.put(&at, "to be deleted", Dress::default()).await?;
        let wrong = Fence::Matches(WRONG_ETAG.into());
        let answer = taken(self.store.delete(&at, None, Some(&wrong)).await)?;
        let stands = self.shows(&at, &pin).await?;
        let treatment = match (answer, stands) {
            (Taken::Honoured, true) => Treatment::Honoured,
            (Taken::Refused, true) => Treatment::Refused,
            _ => Treatment::Ignored,
        };
        self.report.conditions.delete = treatment;
        if treatment == Treatment::Ignored {
            self.find("delete accepts If-Match and ignores it");
        }
        let pin = if stands { pin } else { self.put(&at, "to be deleted again", Dress::default()).await? };
        let right = Fence::Matches(pin.etag.clone());
        let fence = (treatment == Treatment::Honoured).then_some(&right);
        let mut fenced = fence.is_some();
        if let Err(error) = self.store.delete(&at, None, fence).await {
            if error.applied != Applied::No || fence.is_none() {
                return Err(error);
            }
            self.find(format!("delete with If-Match that holds is refused: {}", error.message));
            fenced = false;
            self.store.delete(&at, None, None).await?;
        }
        if !self.is_hidden(&at).await? {
            self.report.read_after_write = false;
            self.find("HEAD still showed a copy right after its DELETE was answered");
        }
        let pinned = match &pin.version {
            None => false,
            id => self.store.head(&at, id.as_deref()).await.is_ok(),
        };
        Ok(Powers { pinned, fenced, unique: fenced && self.report.grades.put.unique })
    }

    async fn is_hidden(&self, at: &At) -> Answer<bool> {
        match self.store.head(at, None).await {
            Ok(_) => Ok(false),
            Err(error) if error.fault == Fault::NoKey => Ok(true),
            Err(error) => Err(error),
        }
    }

    /// Removes everything that was made; goes on after a failure and tells the first.
    async fn tidy(&mut self) -> Answer<()> {
        let mut first: Option<StoreError> = None;
        for (at, pin) in std::mem::take(&mut self.made).into_iter().rev() {
            if let Err(error) = self.store.delete(&at, pin.version.as_deref(), None).await {
                first.get_or_insert(error);
            }
        }
        first.map_or(Ok(()), Err)
    }
}

fn treatment_of(on_absent: Taken, on_wrong: Taken) -> Treatment {
    match (on_absent, on_wrong) {
        (Taken::Honoured, Taken::Honoured) => Treatment::Honoured,
        (Taken::Honoured, _) | (_, Taken::Honoured) => Treatment::Partly,
        (Taken::Ignored, _) | (_, Taken::Ignored) => Treatment::Ignored,
        (Taken::Refused, Taken::Refused) => Treatment::Refused,
    }
}

/// The answer to a call whose condition does not hold. What says neither yes nor no ends the probe.
fn taken<T>(answer: Answer<T>) -> Answer<Taken> {
    match answer {
        Ok(_) => Ok(Taken::Ignored),
        Err(error) if matches!(error.fault, Fault::Precondition | Fault::NoKey) => Ok(Taken::Honoured),
        Err(error) if matches!(error.fault, Fault::Unsupported | Fault::BadRequest) => Ok(Taken::Refused),
        Err(error) => Err(error),
    }
}

fn name_of(fence: &Fence) -> &'static str {
    match fence {
        Fence::Absent => "If-None-Match",
        Fence::Matches(_) => "If-Match",
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{DiskStore, Fences, MemoryStore, MemoryTraits};
    use outlast_rules::StoreName;

    async fn probed(traits: MemoryTraits) -> ProbeReport {
        let store = MemoryStore::counting(StoreName::parse("m").unwrap(), traits);
        store.create_bucket("bkt").await.unwrap();
        let report = probe(&store, "bkt", "t1").await.unwrap();
        assert_eq!(store.list("bkt", "", None).await.unwrap().copies, [], "the probe tidies up");
        assert_eq!(store.list_uploads("bkt").await.unwrap(), []);
        if !traits.keeps_versions {
            store.delete_bucket("bkt").await.unwrap();
        }
        report
    }

    fn check(traits: MemoryTraits, powers: Powers, fit: bool, weaknesses: usize, report: &ProbeReport) {
        let Grades { put, complete, copy, delete } = report.grades;
        for found in [put, complete, copy, delete] {
            assert_eq!(found, powers, "{traits:?}: {report:?}");
        }
        assert_eq!(report.fit_as_place().is_ok(), fit, "{report:?}");
        assert_eq!(report.weaknesses().len(), weaknesses, "{:?}", report.weaknesses());
        let text = serde_json::to_string(report).unwrap();
        assert_eq!(serde_json::from_str::<ProbeReport>(&text).unwrap(), *report);
    }

    #[tokio::test]
    async fn finds_the_grade_of_every_kind() {
        let powers = |pinned, fenced, unique| Powers { pinned, fenced, unique };
        let refusing = MemoryTraits { fences: Fences::Refused, ..MemoryTraits::B };
        let versioned_liar = MemoryTraits { fences: Fences::Ignored, ..MemoryTraits::A };
        for (traits, expected, fit, weaknesses) in [
            (MemoryTraits::A, powers(true, true, false), true, 0),
            (MemoryTraits::B, powers(false, true, false), true, 0),
            (MemoryTraits::B_UNIQUE, powers(false, true, true), true, 0),
            (MemoryTraits::C, powers(false, false, false), true, 4),
            (MemoryTraits::LIAR, powers(false, false, false), false, 4),
            (refusing, powers(false, false, false), true, 4),
            (versioned_liar, powers(true, false, false), true, 0),
        ] {
            let report = probed(traits).await;
            check(traits, expected, fit, weaknesses, &report);
            assert!(report.stamp_kept && report.read_after_write);
            assert_eq!(report.etag_is_md5, !traits.unique_etags);
            assert_eq!(report.pins_sources, Some(traits.pins_sources));
        }
    }

    #[tokio::test]
    async fn tells_the_liar_from_the_honest_refuser_and_from_who_ignores_fences_alone() {
        let liar = probed(MemoryTraits::LIAR).await;
        let unfenced = probed(MemoryTraits::C).await;
        let refuser = probed(MemoryTraits { fences: Fences::Refused, ..MemoryTraits::C }).await;
        assert_eq!((liar.conditions.put, refuser.conditions.put), (Treatment::Ignored, Treatment::Refused));
        assert_eq!((unfenced.conditions.put, unfenced.pins_sources), (Treatment::Ignored, Some(true)));
        assert!(unfenced.fit_as_place().is_ok() && unfenced.weaknesses()[0].contains("ignores"), "{unfenced:?}");
        assert!(liar.fit_as_place().unwrap_err().contains("ignores"), "{liar:?}");
        assert!(liar.findings.iter().any(|f| f.contains("put accepts If-Match and ignores it")), "{liar:?}");
        assert!(refuser.weaknesses()[0].contains("refuses"), "{refuser:?}");
    }

    #[tokio::test]
    async fn tells_who_drops_slashes() {
        let report = probed(MemoryTraits { drops_slashes: true, ..MemoryTraits::B }).await;
        assert_eq!(report.drops_slashes, Some(true));
        assert!(report.weaknesses()[0].contains("slashes"), "{report:?}");
        assert_eq!(probed(MemoryTraits::B).await.drops_slashes, Some(false));
    }

    #[tokio::test]
    async fn a_store_that_loses_stamps_is_unfit() {
        let report = probed(MemoryTraits { keeps_metadata: false, ..MemoryTraits::A }).await;
        assert!(!report.stamp_kept);
        assert!(report.fit_as_place().unwrap_err().contains("stamp"));
    }

    #[tokio::test]
    async fn a_disk_is_fenced_and_unique() {
        let root = tempfile::tempdir().unwrap();
        let store = DiskStore::open(StoreName::parse("d").unwrap(), root.path()).unwrap();
        store.create_bucket("bkt").await.unwrap();
        let report = probe(&store, "bkt", "t1").await.unwrap();
        check(MemoryTraits::DISK, Powers { pinned: false, fenced: true, unique: true }, true, 0, &report);
        assert_eq!(report.findings, [""; 0]);
        store.delete_bucket("bkt").await.unwrap();
    }

    #[tokio::test]
    async fn a_missing_bucket_is_an_error() {
        let store = MemoryStore::counting(StoreName::parse("m").unwrap(), MemoryTraits::B);
        assert_eq!(probe(&store, "bkt", "t").await.unwrap_err().fault, Fault::NoBucket);
    }
}
