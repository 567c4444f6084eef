//! Who acts: the operator on whose behalf the present task works.

use std::sync::Arc;
use tokio::task_local;

task_local! {
    static OPERATOR: Arc<str>;
}

/// Runs `work` on behalf of the operator `name`. The changes that it makes bear that name.
pub async fn as_operator<T>(name: Arc<str>, work: impl Future<Output = T>) -> T {
    OPERATOR.scope(name, work).await
}

/// The operator for whom the present task works; `None` if the host acts by itself.
pub fn operator() -> Option<Arc<str>> {
    OPERATOR.try_with(Arc::clone).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_task_works_for_one_operator_and_its_children_for_none_unless_they_are_told() {
        assert_eq!(operator(), None);
        as_operator("ann".into(), async {
            assert_eq!(operator().as_deref(), Some("ann"));
            assert_eq!(tokio::spawn(async { operator() }).await.unwrap(), None);
        })
        .await;
        assert_eq!(operator(), None);
    }
}
