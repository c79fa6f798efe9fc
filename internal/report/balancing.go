package report

// setBalancing tells how far the moving of replicas is. What is under way stays as it was put on record.
func (s *writer) setBalancing() {
	if s.Plan.Course == nil {
		return
	}
	recorded, next := s.status.Balancing, s.Plan.Course.Status()
	if s.status.Balancing = next; next == nil {
		return
	}
	next.InFlight, next.BytesPerSecond = nil, 0
	if recorded != nil {
		next.InFlight, next.BytesPerSecond = recorded.InFlight, recorded.BytesPerSecond
	}
}

// balancing is the line on the moving of replicas behind another sentence; empty = there is nothing to tell.
func (s *writer) balancing() string {
	if message := s.status.Balancing.GetMessage(); message != "" {
		return "; " + message
	}
	return ""
}
