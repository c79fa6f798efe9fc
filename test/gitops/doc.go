// Package gitops holds what config/argocd offers to Argo CD. It runs the health checks in the Lua that Argo CD runs,
// with the libraries that Argo CD gives them, and needs no cluster. A module of its own keeps Lua, and the engine of
// Argo CD in package argocd, out of that of the operator.
package gitops
