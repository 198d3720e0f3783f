//! The conformance suite of the generic store on every engine that is built in.

mod engines;

mod memory {
    milo_apiserver_kit::store_suite!(crate::engines::InMemory);
}

mod embedded {
    milo_apiserver_kit::store_suite!(crate::engines::OnDisk);
}

#[cfg(feature = "postgres")]
mod postgres {
    milo_apiserver_kit::store_suite!(crate::engines::OnPostgres);
}

#[cfg(feature = "etcd")]
mod etcd {
    milo_apiserver_kit::store_suite!(crate::engines::OnEtcd);
}
