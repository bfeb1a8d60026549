//! The samples of the homelab: five applications of one OpenBao, with PostgreSQL behind PgBouncer.

mod access;
mod databases;
mod repository;
mod scene;
mod servers;

use anyhow::Result;

use scene::Homelab;

#[tokio::test]
async fn the_samples_of_the_homelab_work() -> Result<()> {
    let homelab = Homelab::new().await?;
    homelab.the_repository_writes_its_roles().await?;
    homelab.all_ready().await?;
    let keys = homelab.keys().await?;
    homelab.the_applications_own_their_tables().await?;
    homelab.each_identity_has_its_own_access().await?;
    homelab.the_repository_cannot_do_more().await?;
    homelab.each_user_has_its_own_database().await?;
    for application in databases::RESTARTED {
        homelab.a_new_credential_restarts(&application).await?;
    }
    homelab.all_ready().await?;
    assert_eq!(homelab.keys().await?, keys, "the keys of Plausible changed");
    homelab.deletion_removes_the_access().await
}
