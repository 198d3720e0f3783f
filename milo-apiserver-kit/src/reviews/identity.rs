//! `SelfSubjectReview`: who the server takes the caller for.

use async_trait::async_trait;
use milo_core::{object::Object, status::StatusError};
use serde_json::json;

use super::answered;
use crate::rest::{Create, RestRequest};

pub(super) struct WhoAmI;

#[async_trait]
impl Create for WhoAmI {
    async fn create(
        &self,
        request: &RestRequest<'_>,
        review: Object,
    ) -> Result<Object, StatusError> {
        answered(review, &json!({ "userInfo": request.user() }))
    }
}
