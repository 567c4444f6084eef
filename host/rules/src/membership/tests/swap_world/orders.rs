//! What a node does for an operator's order, one request to the registry after the other.

use super::*;

impl SwapWorld {
    /// An operator orders a swap at this node, or asks what is wanted.
    pub(super) fn order(&mut self, node: usize) {
        let component = self.rng.percent(60).then(|| {
            self.components += 1;
            self.components
        });
        let stage = if component.is_some() { Stage::Look } else { Stage::Read };
        let order = Order { component, began: self.now, stage, answered: false };
        self.nodes[node].order = Some(order);
        self.nodes[node].number += 1;
        let hasty = component.is_none() && self.rules == SwapRules::Hasty;
        self.ask(node, if hasty { Request::LastWanted } else { Request::LastProposal });
    }

    fn ask(&mut self, node: usize, request: Request) {
        let number = self.nodes[node].number;
        if self.rng.percent(2) {
            // It is lost on its way.
            self.after(ANSWER, Step::Answer(node, number, Reply::Unknown));
            return;
        }
        // Sometimes a network is slow, longer than anybody waits.
        let wait = if self.rng.percent(3) { self.rng.between(ANSWER..=4 * ANSWER) } else { self.latency() };
        self.after(wait, Step::Arrival(node, number, request));
        if wait >= ANSWER {
            self.after(ANSWER, Step::Answer(node, number, Reply::Unknown));
        }
    }

    /// The order goes on at this stage, when the answer to this has come.
    fn go_on(&mut self, node: usize, stage: Stage, request: Request) {
        if let Some(order) = &mut self.nodes[node].order {
            order.stage = stage;
        }
        // An answer to what was asked before is not taken for one to this.
        self.nodes[node].number += 1;
        self.ask(node, request);
    }

    pub(super) fn arrive(&mut self, node: usize, number: u64, request: Request) {
        let reply = self.serve(request);
        let (wait, reply) = if self.rng.percent(2) { (ANSWER, Reply::Unknown) } else { (self.latency(), reply) };
        self.after(wait, Step::Answer(node, number, reply));
    }

    /// The registry: each write compares, and counts at once.
    fn serve(&mut self, request: Request) -> Reply {
        let (proposal, wanted) = (self.proposal.0, self.wanted.0);
        match request {
            Request::LastProposal => return Reply::Proposal(proposal, self.proposal.1.clone()),
            Request::LastWanted => return Reply::Wanted(wanted, self.wanted.1.clone()),
            Request::PutProposal(_, Some(expected)) if expected != proposal => return Reply::Overtaken,
            Request::PutWanted(_, expected) if expected != wanted => return Reply::Overtaken,
            Request::EndProposal(expected) if expected != proposal => return Reply::Overtaken,
            _ => {}
        }
        self.revision += 1;
        let revision = self.revision;
        match request {
            Request::PutProposal(value, _) => {
                if matches!(value, Proposed::Open(_)) {
                    self.after(LIFE, Step::Expiry(revision));
                }
                self.proposal = (revision, Some(value));
            }
            Request::PutWanted(value, _) => self.wanted = (revision, Some(value)),
            _ => self.proposal = (revision, None),
        }
        self.tell();
        Reply::Written(revision)
    }

    pub(super) fn answered(&mut self, node: usize, number: u64, reply: Reply) {
        if self.nodes[node].number != number {
            return;
        }
        let Some(order) = self.nodes[node].order.clone() else { return };
        match order.stage {
            Stage::Look | Stage::Clear | Stage::Propose(_) | Stage::Before(_) => self.proposing(node, &order, reply),
            Stage::Votes(..) => {}
            Stage::Commit(_) | Stage::Fate(_) | Stage::FateEnded | Stage::FateWanted(_) => {
                self.committing(node, &order, reply);
            }
            Stage::Finish(..) | Stage::FinishLook(..) | Stage::FinishEnd => self.finishing(node, &order, reply),
            Stage::Read => self.reading(node, reply),
            Stage::Over => self.over(node),
        }
    }

    fn proposing(&mut self, node: usize, order: &Order, reply: Reply) {
        match (&order.stage, reply) {
            (Stage::Look, Reply::Proposal(revision, None)) => self.propose(node, order, revision),
            (Stage::Look, Reply::Proposal(revision, Some(Proposed::Agreed(wanted, on)))) => {
                let stage = Stage::Finish(wanted.clone(), on, revision);
                self.go_on(node, stage, Request::PutWanted(wanted, on));
            }
            (Stage::Look, Reply::Proposal(revision, Some(Proposed::Open(open)))) => {
                if open.is_orphan(&self.nodes[node].view) {
                    self.go_on(node, Stage::Clear, Request::EndProposal(revision));
                } else {
                    self.refuse(node);
                }
            }
            (Stage::Clear, Reply::Written(revision)) => self.propose(node, order, revision),
            (Stage::Propose(proposal), Reply::Written(proposed)) => {
                let open = OpenSwap { proposal: proposal.clone(), proposed, wanted: 0, before: None };
                self.go_on(node, Stage::Before(open), Request::LastWanted);
            }
            (Stage::Before(open), Reply::Wanted(wanted, before)) => {
                let open = OpenSwap { wanted, before, ..open.clone() };
                if let Some(order) = &mut self.nodes[node].order {
                    order.stage = Stage::Votes(open, self.now + TRYING);
                }
                self.look_at_votes(node, self.nodes[node].number);
            }
            (Stage::Before(open), _) => self.close(node, open.proposed),
            _ => self.refuse(node),
        }
    }

    fn propose(&mut self, node: usize, order: &Order, free: u64) {
        let Some(component) = order.component else { return self.refuse(node) };
        let (id, incarnation) = (SwapId(self.rng.number()), Incarnation(self.nodes[node].life));
        let (digest, rolls_back, proposer) = (digest(component), false, name(node));
        let proposal = SwapProposal { id, digest, node: proposer, incarnation, rolls_back };
        let request = Request::PutProposal(Proposed::Open(proposal.clone()), Some(free));
        self.go_on(node, Stage::Propose(proposal), request);
    }

    pub(super) fn look_at_votes(&mut self, node: usize, number: u64) {
        let this = &self.nodes[node];
        let Some(Order { stage: Stage::Votes(open, deadline), .. }) = this.order.clone() else { return };
        if this.number != number {
            return;
        }
        match this.board.tally(&service(), open.proposal.id, &this.view) {
            Tally::Agreed => {
                let OpenSwap { proposal, proposed, wanted, before } = &open;
                let previous = before.as_ref().map(|before| before.digest);
                let (id, digest, rolls_back, by) = (proposal.id, proposal.digest, false, "operator".to_owned());
                let agreed = WantedRevision { id, digest, previous, rolls_back, by, why: None };
                let expected = (self.rules != SwapRules::Blind).then_some(*proposed);
                let request = Request::PutProposal(Proposed::Agreed(agreed, *wanted), expected);
                self.go_on(node, Stage::Commit(open), request);
            }
            Tally::Waits(_) if self.now < deadline => self.after(100, Step::Votes(node, number)),
            Tally::Waits(_) | Tally::Refused(..) => self.close(node, open.proposed),
        }
    }

    fn committing(&mut self, node: usize, order: &Order, reply: Reply) {
        match (&order.stage, reply) {
            (Stage::Commit(open), Reply::Written(revision)) => self.agreed(node, open, Some(revision)),
            (Stage::Commit(_), Reply::Unknown) if self.rules == SwapRules::Sure => self.refuse(node),
            (Stage::Commit(open), _) => self.go_on(node, Stage::Fate(open.clone()), Request::LastProposal),
            (Stage::Fate(open), Reply::Proposal(revision, there)) => match there {
                Some(Proposed::Agreed(wanted, _)) if wanted.id == open.proposal.id => {
                    self.agreed(node, open, Some(revision));
                }
                // It may still be under way. Without the proposal it is refused when it comes.
                _ if revision == open.proposed => {
                    self.go_on(node, Stage::FateEnded, Request::EndProposal(revision));
                }
                _ => self.go_on(node, Stage::FateWanted(open.clone()), Request::LastWanted),
            },
            (Stage::FateEnded, Reply::Written(_)) => self.refuse(node),
            (Stage::FateWanted(open), Reply::Wanted(_, wanted)) => {
                let (now, before) = (wanted.map(|one| one.id), open.before.as_ref().map(|one| one.id));
                if now == Some(open.proposal.id) {
                    self.agreed(node, open, None);
                } else if now == before {
                    self.refuse(node);
                } else {
                    self.doubt(node);
                }
            }
            _ => self.doubt(node),
        }
    }

    /// It counts. The rest is done by this node, or by the next one that finds it so.
    fn agreed(&mut self, node: usize, open: &OpenSwap, revision: Option<u64>) {
        let (to, before) = (component(open.proposal.digest), open.before.as_ref());
        self.end(node, Some(SwapAction::Exchanged(to, before.map(|before| component(before.digest)))));
        let Some(revision) = revision else { return self.over(node) };
        let (id, digest, previous) = (open.proposal.id, open.proposal.digest, before.map(|before| before.digest));
        let wanted = WantedRevision { id, digest, previous, rolls_back: false, by: "operator".to_owned(), why: None };
        let stage = Stage::Finish(wanted.clone(), open.wanted, revision);
        self.go_on(node, stage, Request::PutWanted(wanted, open.wanted));
    }

    fn finishing(&mut self, node: usize, order: &Order, reply: Reply) {
        match (order.stage.clone(), reply) {
            (Stage::Finish(_, _, revision), Reply::Written(_)) => {
                self.go_on(node, Stage::FinishEnd, Request::EndProposal(revision));
            }
            (Stage::Finish(wanted, on, revision), Reply::Overtaken) => {
                self.go_on(node, Stage::FinishLook(wanted, on, revision), Request::LastWanted);
            }
            (Stage::FinishLook(wanted, on, revision), Reply::Wanted(now, None)) if now != on => {
                self.go_on(node, Stage::Finish(wanted.clone(), now, revision), Request::PutWanted(wanted, now));
            }
            // Somebody has done it.
            (Stage::FinishLook(_, _, revision), Reply::Wanted(..)) => {
                self.go_on(node, Stage::FinishEnd, Request::EndProposal(revision));
            }
            _ if order.answered => self.over(node),
            (Stage::FinishEnd, Reply::Written(free)) if order.component.is_some() => self.propose(node, order, free),
            (Stage::FinishEnd, Reply::Written(_) | Reply::Overtaken) if order.component.is_none() => {
                self.go_on(node, Stage::Read, Request::LastWanted);
            }
            _ => self.refuse(node),
        }
    }

    fn reading(&mut self, node: usize, reply: Reply) {
        match reply {
            Reply::Proposal(revision, Some(Proposed::Agreed(wanted, on))) => {
                let stage = Stage::Finish(wanted.clone(), on, revision);
                self.go_on(node, stage, Request::PutWanted(wanted, on));
            }
            Reply::Proposal(..) => self.go_on(node, Stage::Read, Request::LastWanted),
            Reply::Wanted(_, wanted) => {
                self.end(node, Some(SwapAction::Read(wanted.map(|wanted| component(wanted.digest)))));
                self.over(node);
            }
            _ => self.refuse(node),
        }
    }

    /// The operator hears that nothing has changed, and the proposal ends.
    fn close(&mut self, node: usize, proposed: u64) {
        self.refused += 1;
        self.end(node, None);
        self.go_on(node, Stage::Over, Request::EndProposal(proposed));
    }

    /// The operator hears that nothing has changed.
    fn refuse(&mut self, node: usize) {
        self.refused += 1;
        self.end(node, None);
        self.over(node);
    }

    /// The operator hears that nobody knows.
    fn doubt(&mut self, node: usize) {
        self.leave(node);
        self.end(node, None);
        self.over(node);
    }

    fn end(&mut self, node: usize, action: Option<SwapAction>) {
        let Some(order) = self.nodes[node].order.as_mut().filter(|order| !order.answered) else { return };
        order.answered = true;
        let began = order.began;
        self.history.extend(action.map(|action| Operation { began, ended: Some(self.now), action }));
    }

    fn over(&mut self, node: usize) {
        self.nodes[node].order = None;
        self.nodes[node].number += 1;
        let pause = self.rng.between(200..=3_000);
        if self.now < FAULTS_END {
            self.after(pause, Step::Order(node));
        }
    }
}
