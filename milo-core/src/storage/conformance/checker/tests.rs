//! The checker takes what the contract allows, and nothing else.

use super::{
    log::{Answer, Log, Question},
    verify,
};
use crate::{
    key::{Key, KeyRange},
    storage::{
        Event, ListOptions, Page, Precondition, Record, Revision, Transaction, WatchBatch,
        conformance::{
            failure::{Failure, Outcome},
            vocabulary::*,
        },
    },
};

/// A history of which each answer comes before the next question, unless it says otherwise.
#[derive(Default)]
struct Story {
    log: Log,
    replay: Vec<Event>,
}

impl Story {
    fn tell(&self, question: Question, answer: Answer) -> &Self {
        let entry = self.log.begin(question);
        self.log.end(entry, answer);
        self
    }

    fn commit(&self, transaction: Transaction, revision: u64) -> &Self {
        self.tell(Question::Commit(transaction), Answer::Committed(Revision::new(revision)))
    }

    fn get(&self, key: &Key, found: Option<Record>) -> &Self {
        self.tell(Question::Get(key.clone()), Answer::Found(found))
    }

    fn verify(&self) -> Outcome {
        verify(&self.log, Revision::FIRST, &self.replay)
    }

    fn fails(&self, with: &str) {
        match self.verify() {
            Err(Failure::Failed(text)) if text.contains(with) => {}
            other => panic!("{other:?} instead of a failure with `{with}`"),
        }
    }
}

fn a() -> Key {
    key("ns", "a")
}

fn of_a(revision: u64, value: &str) -> Record {
    record(&a(), Revision::new(revision), value)
}

/// `a` is written twice, as 2 and 3.
fn two_commits() -> Story {
    let replay = vec![put_event(of_a(2, "1"), None), put_event(of_a(3, "2"), Some(of_a(2, "1")))];
    let story = Story { log: Log::default(), replay };
    story.commit(put(&a(), "1"), 2).commit(put(&a(), "2"), 3);
    story
}

#[test]
fn what_is_allowed_passes() {
    let story = two_commits();
    story.get(&a(), Some(of_a(3, "2")));
    let page = Page { records: vec![of_a(2, "1")], revision: Revision::new(2), remaining: 0 };
    story.tell(Question::List(namespace("ns"), all().at(Revision::new(2))), Answer::Listed(page));
    let other = create(&a(), "3");
    let conflict = Answer::Conflict(Precondition::Absent(a()), Some(of_a(3, "2")));
    story.tell(Question::Commit(other), conflict);
    story.commit(delete(&key("ns", "absent")), 3);
    assert_eq!(story.verify(), Ok(()));
}

#[test]
fn a_read_may_see_either_side_of_a_commit_at_the_same_time() {
    for found in [None, Some(of_a(2, "1"))] {
        let story = Story { replay: vec![put_event(of_a(2, "1"), None)], ..Story::default() };
        let commit = story.log.begin(Question::Commit(put(&a(), "1")));
        story.get(&a(), found);
        story.log.end(commit, Answer::Committed(Revision::new(2)));
        assert_eq!(story.verify(), Ok(()));
    }
}

#[test]
fn what_one_reader_has_seen_the_next_must_see() {
    let story = Story { replay: vec![put_event(of_a(2, "1"), None)], ..Story::default() };
    let commit = story.log.begin(Question::Commit(put(&a(), "1")));
    story.get(&a(), Some(of_a(2, "1"))).get(&a(), None);
    story.log.end(commit, Answer::Committed(Revision::new(2)));
    story.fails("at no time after 2");
}

#[test]
fn stale_answers_are_found() {
    let story = two_commits();
    story.get(&a(), Some(of_a(2, "1"))).fails("at no time after 3");
    let story = two_commits();
    story.tell(Question::Revision, Answer::At(Revision::new(2))).fails("at 2, and 3");
    let story = two_commits();
    let page = Page { records: vec![of_a(2, "1")], revision: Revision::new(2), remaining: 0 };
    story.tell(Question::List(KeyRange::all(), all()), Answer::Listed(page)).fails("had been seen");
    let story = two_commits();
    let conflict = Answer::Conflict(Precondition::Absent(a()), Some(of_a(2, "1")));
    story.tell(Question::Commit(create(&a(), "3")), conflict).fails("at no time after 3");
}

#[test]
fn answers_from_the_future_are_found() {
    let story = Story { replay: vec![put_event(of_a(2, "1"), None)], ..Story::default() };
    story.get(&a(), Some(of_a(2, "1")));
    // The value is read before anybody asks to write it.
    story.commit(put(&a(), "1"), 2).fails("had been seen before");
}

#[test]
fn wrong_lists_are_found() {
    let list = |records: Vec<Record>, remaining| {
        let story = two_commits();
        let page = Page { records, revision: Revision::new(3), remaining };
        let options = ListOptions::default();
        story.tell(Question::List(KeyRange::all(), options), Answer::Listed(page));
        story
    };
    assert_eq!(list(vec![of_a(3, "2")], 0).verify(), Ok(()));
    list(vec![of_a(2, "1")], 0).fails("at 3");
    list(vec![], 0).fails("at 3");
    list(vec![of_a(3, "2")], 1).fails("what remains");
}

#[test]
fn commits_in_spite_of_their_preconditions_are_found() {
    let story = two_commits();
    story.commit(create(&a(), "3"), 4).fails("this did not hold");
}

#[test]
fn two_commits_of_one_revision_are_found() {
    let story = two_commits();
    story.commit(put(&key("ns", "b"), "3"), 3).fails("answered with 3");
}

/// One removes the key; others are answered with that revision because it is gone.
#[test]
fn idle_transactions_may_have_the_revision_of_another() {
    let removal = delete_event(Revision::new(4), of_a(3, "2"));
    let mut story = two_commits();
    story.replay.push(removal);
    let removes = delete(&a()).require(Precondition::Exists(a()));
    let absent = delete(&a()).require(Precondition::Absent(a()));
    let all_at_once = [absent, delete(&a()), removes, Transaction::new()];
    let asked = all_at_once.map(|each| story.log.begin(Question::Commit(each)));
    for entry in asked {
        story.log.end(entry, Answer::Committed(Revision::new(4)));
    }
    assert_eq!(story.verify(), Ok(()));
    story = two_commits();
    story.replay.push(delete_event(Revision::new(4), of_a(3, "2")));
    story.commit(delete(&a()), 4);
    story.commit(delete(&a()).require(Precondition::Exists(a())), 4);
    story.fails("had been seen before");
}

/// The one that was asked for first may have come second, and have found nothing to remove.
#[test]
fn of_two_removals_at_once_one_finds_nothing() {
    let mut story = two_commits();
    let revision = Revision::new(4);
    story.replay.push(Event::Delete { revision, previous: of_a(3, "2") });
    let guarded = delete(&a()).require(Precondition::RevisionIs(a(), Revision::new(3)));
    let idle = story.log.begin(Question::Commit(delete(&a())));
    let changing = story.log.begin(Question::Commit(guarded));
    story.log.end(changing, Answer::Committed(revision));
    story.log.end(idle, Answer::Committed(revision));
    assert_eq!(story.verify(), Ok(()));
}

#[test]
fn lost_repeated_and_reordered_events_are_found() {
    let watch = |batches: Vec<Vec<Event>>| {
        let story = two_commits();
        let entry = story.log.begin(Question::Watch(KeyRange::all(), Revision::FIRST));
        story.log.end(entry, Answer::Told(Vec::new()));
        for events in batches {
            story.log.tell(entry, WatchBatch { events, revision: Revision::new(3) });
        }
        story
    };
    let [one, two] = two_commits().replay.try_into().unwrap();
    assert_eq!(watch(vec![vec![one.clone(), two.clone()]]).verify(), Ok(()));
    watch(vec![vec![two.clone()]]).fails("a watch of");
    watch(vec![vec![one.clone()], vec![two.clone()]]).fails("a watch of");
    watch(vec![vec![one.clone(), two.clone()], vec![two.clone()]]).fails("a watch of");
    watch(vec![vec![two, one]]).fails("out of order");
}

#[test]
fn a_replay_that_lacks_a_commit_is_found() {
    let mut story = two_commits();
    story.replay.pop();
    story.fails("a watch of");
}

#[test]
fn commits_nobody_waited_for_are_found_by_what_they_wrote() {
    let mut story = two_commits();
    story.log.begin(Question::Commit(put(&a(), "3")));
    assert_eq!(story.verify(), Ok(()), "it may not have happened");
    let mut happened = two_commits();
    happened.log.begin(Question::Commit(put(&a(), "3")));
    happened.replay.push(put_event(of_a(4, "3"), Some(of_a(3, "2"))));
    happened.get(&a(), Some(of_a(4, "3")));
    assert_eq!(happened.verify(), Ok(()));
    story = two_commits();
    story.replay.push(put_event(of_a(4, "3"), Some(of_a(3, "2"))));
    story.fails("a watch of");
}

#[test]
fn reads_below_the_floor_are_found() {
    let list = |floor, answer| {
        let story = two_commits();
        story.tell(Question::Compact(Revision::new(floor)), Answer::Compacted);
        let at = ListOptions::default().at(Revision::new(2));
        story.tell(Question::List(KeyRange::all(), at), answer);
        story
    };
    let page = Page { records: vec![of_a(2, "1")], revision: Revision::new(2), remaining: 0 };
    assert_eq!(list(2, Answer::Listed(page.clone())).verify(), Ok(()));
    assert_eq!(list(3, Answer::Expired(Revision::new(3))).verify(), Ok(()));
    list(3, Answer::Listed(page)).fails("was compacted to 3");
    list(2, Answer::Expired(Revision::new(3))).fails("expired at 3");
}
