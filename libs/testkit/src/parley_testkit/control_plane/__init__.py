"""A real Kubernetes control plane for tests, on this machine and without a container.

Real are etcd, kube-apiserver with its admission, kube-controller-manager, kube-scheduler, kubectl and helm. Played are
kubelets, by kwok (`stages`), and a volume provisioner (`volumes`). Nothing runs in a pod, no image is pulled, no packet
is filtered: docs/decisions/0014. `tools/setup cluster` builds it, `running_control_plane` starts it.
"""
