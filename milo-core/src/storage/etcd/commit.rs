//! Commits: one transaction of etcd each, or a mere put where that is enough.

use bytes::Bytes;
use prost::Message;

use super::{
    client::Repeat,
    errors::{CallError, Verdict},
    messages::{
        Compare, CompareResult, CompareTarget, DeleteRangeRequest, PUT, PutRequest, RangeRequest,
        RequestOp, ResponseHeader, ResponseOp, TXN, TxnRequest, TxnResponse, compare::Operand,
        request_op, response_op,
    },
    store::Store,
};
use crate::{
    key::Key,
    storage::{Cause, CommitError, Operation, Precondition, Record, Revision, Transaction, plan},
};

/// The bytes of a request that etcd takes when nobody says otherwise (`--max-request-bytes`).
const REQUEST_BYTES: usize = 1536 * 1024;
/// The operations of a transaction that etcd takes when nobody says otherwise (`--max-txn-ops`).
const TRANSACTION_OPERATIONS: usize = 128;

impl Store {
    pub(super) async fn commit(&self, transaction: Transaction) -> Result<Revision, CommitError> {
        let transaction = plan::prepare(transaction)?;
        if let ([], [Operation::Put(key, value)]) =
            (transaction.preconditions(), transaction.operations())
        {
            return self.put(self.prefix.outer(key.as_bytes()), value.clone()).await;
        }
        let request = self.request(&transaction);
        let repeat = match transaction.operations() {
            [] => Repeat::Harmless,
            _ => Repeat::IfNotDone,
        };
        let size = Size::of(&transaction, &request);
        match self.client.call(&TXN, request, repeat).await {
            Ok(answer) => self.decide(transaction, &answer),
            Err(error) => Err(size.explain(error)),
        }
    }

    /// Writes one value, whatever is there. Of transactions etcd 3.4 did half as many: see
    /// `benches/README.md`.
    async fn put(&self, key: Bytes, value: Bytes) -> Result<Revision, CommitError> {
        self.saw(key.len() + value.len());
        let request = PutRequest { key, value };
        let size = Size { bytes: request.encoded_len(), operations: 1 };
        match self.client.call(&PUT, request, Repeat::IfNotDone).await {
            Ok(answer) => self.committed(answer.header.as_ref()),
            Err(error) => Err(size.explain(error)),
        }
    }

    fn committed(&self, header: Option<&ResponseHeader>) -> Result<Revision, CommitError> {
        let revision = self.numbering.revision_of(header);
        revision.map_err(|error| CommitError::Uncertain(error.into()))
    }

    /// If all preconditions hold, the operations; if not, what is there instead.
    fn request(&self, transaction: &Transaction) -> TxnRequest {
        let conditions = transaction.preconditions();
        TxnRequest {
            compare: conditions.iter().map(|condition| self.compare(condition)).collect(),
            success: transaction.operations().iter().map(|o| self.operation(o)).collect(),
            failure: conditions.iter().map(|condition| self.read(condition.key())).collect(),
        }
    }

    fn compare(&self, condition: &Precondition) -> Compare {
        let (result, target, operand) = match condition {
            Precondition::Absent(_) => {
                (CompareResult::Equal, CompareTarget::Version, Operand::Version(0))
            }
            Precondition::Exists(_) => {
                (CompareResult::Greater, CompareTarget::Version, Operand::Version(0))
            }
            Precondition::RevisionIs(_, revision) => (
                CompareResult::Equal,
                CompareTarget::Mod,
                // Zero is what etcd says of absent keys, and no key was ever written then.
                Operand::ModRevision(match self.numbering.number(*revision) {
                    0 => -1,
                    number => number,
                }),
            ),
        };
        Compare {
            result: result.into(),
            target: target.into(),
            key: self.prefix.outer(condition.key().as_bytes()),
            operand: Some(operand),
        }
    }

    fn operation(&self, operation: &Operation) -> RequestOp {
        let key = self.prefix.outer(operation.key().as_bytes());
        let request = match operation {
            Operation::Put(_, value) => {
                self.saw(key.len() + value.len());
                request_op::Request::Put(PutRequest { key, value: value.clone() })
            }
            Operation::Delete(_) => request_op::Request::DeleteRange(DeleteRangeRequest { key }),
        };
        RequestOp { request: Some(request) }
    }

    fn read(&self, key: &Key) -> RequestOp {
        let key = self.prefix.outer(key.as_bytes());
        let request = request_op::Request::Range(RangeRequest { key, ..RangeRequest::default() });
        RequestOp { request: Some(request) }
    }

    fn decide(
        &self,
        transaction: Transaction,
        answer: &TxnResponse,
    ) -> Result<Revision, CommitError> {
        if answer.succeeded {
            return self.committed(answer.header.as_ref());
        }
        let current = answer.responses.iter().map(|response| self.current(response));
        let (preconditions, _) = transaction.into_parts();
        for (failed, current) in preconditions.into_iter().zip(current) {
            if !failed.holds(current.as_ref().map(|record| record.revision)) {
                return Err(CommitError::Conflict { failed, current });
            }
        }
        Err(CommitError::Unavailable("etcd refused a transaction and does not say why".into()))
    }

    fn current(&self, response: &ResponseOp) -> Option<Record> {
        match &response.response {
            Some(response_op::Response::Range(found)) => self.record(found.kvs.first()?),
            _ => None,
        }
    }
}

/// What may be too much of it.
struct Size {
    bytes: usize,
    operations: usize,
}

impl Size {
    fn of(transaction: &Transaction, request: &TxnRequest) -> Self {
        let operations = transaction.operations().len().max(transaction.preconditions().len());
        Self { bytes: request.encoded_len(), operations }
    }

    fn explain(self, error: CallError) -> CommitError {
        match error.verdict {
            Verdict::TooLarge => CommitError::TooLarge {
                bytes: self.bytes,
                limit: REQUEST_BYTES.min(self.bytes.saturating_sub(1)),
            },
            Verdict::TooManyOperations => CommitError::TooManyOperations {
                operations: self.operations,
                limit: TRANSACTION_OPERATIONS.min(self.operations.saturating_sub(1)),
            },
            Verdict::Unknown => CommitError::Uncertain(Cause::from(error)),
            _ => CommitError::Unavailable(Cause::from(error)),
        }
    }
}
