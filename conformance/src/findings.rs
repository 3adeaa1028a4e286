//! What a rule's judge says: what was right, wrong or not to be seen, and where.

use crate::report::{Finding, Outcome, Place, RuleReport};
use crate::rules::{Rule, Severity};
use crate::shown::count;

/// How many findings of one rule are told in full.
const MOST_TOLD: usize = 5;

/// Collects what a judge finds.
pub(crate) struct Findings {
    rule: &'static Rule,
    right: u64,
    failed: Told,
    advised: Told,
    unseen: Told,
}

#[derive(Default)]
struct Told {
    first: Vec<Finding>,
    count: u64,
}

impl Told {
    fn add(&mut self, outcome: Outcome, found: String, place: Place, times: u64) {
        self.count += times;
        // Advice that holds for a hundred sources is one piece of advice.
        let known = self.first.iter_mut().find(|known| known.found == found);
        if let Some(known) = known.filter(|_| outcome != Outcome::Fail) {
            known.times += times;
            return;
        }
        if self.first.len() < MOST_TOLD {
            self.first.push(Finding { outcome, found, place, times });
        }
    }
}

impl Findings {
    pub(crate) fn new(rule: &'static Rule) -> Findings {
        let (failed, advised, unseen) = Default::default();
        Findings { rule, right: 0, failed, advised, unseen }
    }

    /// Something was as it has to be.
    pub(crate) fn right(&mut self) {
        self.right += 1;
    }

    /// The rule is broken. Of a rule that is advice only, it is advice.
    pub(crate) fn wrong(&mut self, place: Place, found: impl Into<String>) {
        self.wrong_times(place, found, 1);
    }

    /// The same, met several times.
    pub(crate) fn wrong_times(&mut self, place: Place, found: impl Into<String>, times: u64) {
        match self.rule.severity {
            Severity::Must => self.failed.add(Outcome::Fail, found.into(), place, times),
            Severity::Should => self.advised.add(Outcome::Advice, found.into(), place, times),
        }
    }

    /// It works, and could be better.
    pub(crate) fn advise(&mut self, place: Place, found: impl Into<String>) {
        self.advised.add(Outcome::Advice, found.into(), place, 1);
    }

    /// Something that the rule is about was not looked at.
    pub(crate) fn unseen(&mut self, place: Place, why: impl Into<String>) {
        self.unseen.add(Outcome::NotObserved, why.into(), place, 1);
    }

    /// What was left unread is never a pass.
    pub(crate) fn into_report(self) -> RuleReport {
        let counts = (self.failed.count, self.advised.count, self.unseen.count, self.right);
        let outcome = match counts {
            (1.., ..) => Outcome::Fail,
            (0, 1.., ..) => Outcome::Advice,
            (0, 0, 0, 1..) => Outcome::Pass,
            _ => Outcome::NotObserved,
        };
        let mut findings = self.failed.first;
        findings.extend(self.advised.first);
        findings.extend(self.unseen.first);
        RuleReport {
            group: self.rule.group,
            name: self.rule.name,
            outcome,
            expected: self.rule.expected,
            found: found(&findings, outcome, self.right, self.rule),
            place: findings.first().map(|finding| finding.place.clone()),
            right: self.right,
            count: self.failed.count + self.advised.count + self.unseen.count,
            findings,
        }
    }
}

fn found(findings: &[Finding], outcome: Outcome, right: u64, rule: &Rule) -> String {
    match (findings.first(), outcome) {
        (None, Outcome::Pass) => count(right, rule.counted),
        (None, _) => rule.otherwise.to_owned(),
        (Some(finding), _) => finding.found.clone(),
    }
}
