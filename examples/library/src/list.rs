//! Lists: pages as SQL, at any revision that is remembered.

use std::collections::BTreeMap;

use async_trait::async_trait;
use milo_apiserver_kit::rest::{List, ListQuery, ObjectList, RestRequest};
use milo_core::{object::Object, status::StatusError};
use rusqlite::{Transaction, params_from_iter};

use crate::{
    books::Books,
    database::{Failure, counter, number, require_remembered, revision, scope_key},
    feed,
    row::{COLUMNS, read},
    select::Conditions,
};

/// Where a book is in a list: its namespace and its name.
type Place = (String, String);

#[async_trait]
impl List for Books {
    async fn list(
        &self,
        request: &RestRequest<'_>,
        query: &ListQuery,
    ) -> Result<ObjectList, StatusError> {
        let wanted = Wanted {
            scope: scope_key(request.scope()),
            namespace: request.namespace().to_owned(),
            after: query.after.as_deref().map(parse).transpose()?,
            query: query.clone(),
        };
        self.0.read(move |transaction| wanted.read(transaction)).await
    }
}

struct Wanted {
    scope: String,
    namespace: String,
    after: Option<Place>,
    query: ListQuery,
}

impl Wanted {
    fn read(&self, transaction: &Transaction<'_>) -> Result<ObjectList, Failure> {
        let (now, _) = counter(transaction)?;
        // A revision that has not come yet is answered with the present, and the kit says so.
        let at = self.query.at.map_or(now, number).min(now);
        let past = if at < now { self.past(transaction, at)? } else { BTreeMap::new() };
        let limit = if self.query.limit == 0 { usize::MAX } else { self.query.limit };
        // Enough to fill a page with, even if all that has changed since is on it.
        let enough = limit.saturating_add(past.len()).saturating_add(1);
        let mut books = self.present(transaction, enough)?;
        for (place, book) in past {
            match book.filter(|book| self.selects(book)) {
                Some(book) => books.insert(place, book),
                None => books.remove(&place),
            };
        }
        let more = books.len().saturating_sub(limit);
        let page: Vec<(Place, Object)> = books.into_iter().take(limit).collect();
        let next = page
            .last()
            .filter(|_| more > 0)
            .map(|((namespace, name), _)| format!("{namespace}/{name}"));
        let list = ObjectList::new(page.into_iter().map(|(_, book)| book).collect(), revision(at));
        Ok(match next {
            Some(next) => list.with_next(next),
            None => list,
        })
    }

    /// The first of the selected books as they are now.
    fn present(
        &self,
        transaction: &Transaction<'_>,
        limit: usize,
    ) -> Result<BTreeMap<Place, Object>, Failure> {
        let mut conditions = Conditions::of(&self.query);
        conditions.and("b.scope = ?", [self.scope.clone()]);
        if !self.namespace.is_empty() {
            conditions.and("b.namespace = ?", [self.namespace.clone()]);
        }
        if let Some((namespace, name)) = &self.after {
            conditions.and("(b.namespace, b.name) > (?, ?)", [namespace.clone(), name.clone()]);
        }
        let limit = i64::try_from(limit).unwrap_or(i64::MAX);
        let (conditions, values) = conditions.into_parts();
        let query = format!(
            "SELECT {COLUMNS} FROM books b WHERE {conditions} \
             ORDER BY b.namespace, b.name LIMIT {limit}"
        );
        let mut statement = transaction.prepare_cached(&query)?;
        let mut rows = statement.query(params_from_iter(values))?;
        let mut books = BTreeMap::new();
        while let Some(row) = rows.next()? {
            let book = read(row)?;
            books.insert((book.namespace().to_owned(), book.name().to_owned()), book);
        }
        Ok(books)
    }

    /// The books that have changed since a revision, as they were then; none where there was none.
    fn past(
        &self,
        transaction: &Transaction<'_>,
        at: i64,
    ) -> Result<BTreeMap<Place, Option<Object>>, Failure> {
        require_remembered(transaction, at)?;
        let mut past = feed::before(transaction, &self.scope, at)?;
        past.retain(|place, _| {
            (self.namespace.is_empty() || place.0 == self.namespace)
                && self.after.as_ref().is_none_or(|after| place > after)
        });
        Ok(past)
    }

    /// What SQL has not looked at because it is in no row any more. Fields are left to the kit.
    fn selects(&self, book: &Object) -> bool {
        self.query.labels.matches_object(book)
    }
}

/// A continue token, which a client may have made up.
fn parse(text: &str) -> Result<Place, StatusError> {
    let (namespace, name) = text.split_once('/').ok_or_else(|| {
        StatusError::bad_request("the continue token is not one of a list of books")
    })?;
    Ok((namespace.to_owned(), name.to_owned()))
}
