package model

import "strings"

// Placeholders that stand in a node's files for the address of the Kubernetes node on which its pod lands: its own,
// which is the first that it has, or the first of one family.
const (
	HostIPPlaceholder   = "@HOST_IP@"
	HostIPv4Placeholder = "@HOST_IPV4@"
	HostIPv6Placeholder = "@HOST_IPV6@"
)

// IsHostIP tells whether a host is a placeholder for the address of a Kubernetes node.
func IsHostIP(host string) bool {
	return host == HostIPPlaceholder || host == HostIPv4Placeholder || host == HostIPv6Placeholder
}

// HostIPs are the addresses of a Kubernetes node, its own first: one, or one of each family.
type HostIPs []string

// At is the address that a placeholder stands for; empty = the Kubernetes node has none of that family, or is not
// known.
func (h HostIPs) At(placeholder string) string {
	for _, address := range h {
		if placeholder == HostIPPlaceholder ||
			strings.Contains(address, ":") == (placeholder == HostIPv6Placeholder) {
			return address
		}
	}
	return ""
}
