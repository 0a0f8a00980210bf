"""A real Kubernetes control plane for tests, on this machine and without a container.

Real are etcd, kube-apiserver with its admission, kube-controller-manager, kube-scheduler, kubectl and helm. Played are
kubelets, by kwok (`stages`), and a volume provisioner (`volumes`). Nothing runs in a pod, no image is pulled, no packet
is filtered: docs/decisions/0014. `tools/setup cluster` builds the programs.

`plane` starts it and is what tests speak to; `namespaces` is what a test has of it, `access` how its admin or a
ServiceAccount reaches it, `nodes` machines with and without GPUs, `audit` what was asked and refused, `observing` what
one looks for in an object, `waiting` the one way to wait. The rest is how it is made: `programs`, `arguments`,
`certificates`, `children`.
"""
