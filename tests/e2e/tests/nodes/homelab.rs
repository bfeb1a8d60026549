//! The samples of the homelab: five applications of one OpenBao, with PostgreSQL behind PgBouncer.

mod access;
mod databases;
mod scene;
mod servers;

use anyhow::Result;

use scene::Homelab;

#[tokio::test]
async fn the_samples_of_the_homelab_work() -> Result<()> {
    let homelab = Homelab::new().await?;
    homelab.all_ready().await?;
    let keys = homelab.keys().await?;
    homelab.the_applications_own_their_tables().await?;
    homelab.each_identity_has_its_own_access().await?;
    homelab.each_user_has_its_own_database().await?;
    for application in databases::RESTARTED {
        homelab.a_new_credential_restarts(&application).await?;
    }
    homelab.all_ready().await?;
    assert_eq!(homelab.keys().await?, keys, "the keys of Plausible changed");
    homelab.deletion_removes_the_access().await
}
