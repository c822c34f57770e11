package feed

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/sallyport/sallyport/feed/feedpb"
	"github.com/sallyport/sallyport/inquiry"
	"github.com/sallyport/sallyport/vpc"
)

// Why a host gave no answer.
var (
	ErrNotConnected = errors.New("the host is not connected to this server")
	ErrTooOld       = errors.New("the host's agent is of a version that answers no questions")
	ErrBusy         = errors.New("the host has not answered earlier questions yet")
	ErrNoAnswer     = errors.New("the host did not answer in time")
)

const (
	maxOpen    = 8               // questions that one host may have open
	askTimeout = 5 * time.Second // for the answer
)

// Ask asks a host that is connected to this server. An error is one of those above, the host's own
// words, or ctx's. After ErrNoAnswer or a lost connection the host may have done what was asked.
func (s *Server) Ask(ctx context.Context, id vpc.HostID, q inquiry.Question) (inquiry.Answer, error) {
	if err := q.Check(); err != nil {
		return inquiry.Answer{}, fmt.Errorf("ask %s: %w", id, err)
	}
	s.mu.Lock()
	h := s.hosts[id]
	var st *stream
	if h != nil {
		st = h.stream
	}
	s.mu.Unlock()
	switch {
	case st == nil:
		return inquiry.Answer{}, ErrNotConnected
	case !st.answers:
		return inquiry.Answer{}, ErrTooOld
	}
	ctx, cancel := context.WithTimeoutCause(ctx, s.askTimeout, ErrNoAnswer)
	defer cancel()
	return st.questions.ask(ctx, st.done, q)
}

// questions are those of one stream that have no answer yet.
type questions struct {
	asking chan *asked // to be sent

	mu   sync.Mutex
	open map[int64]*asked
	last int64 // id
}

type asked struct {
	id       int64
	question inquiry.Question
	givenUp  <-chan struct{} // closed when nobody waits for the answer any more
	answer   chan answered   // cap 1
}

type answered struct {
	answer inquiry.Answer
	err    error
}

func newQuestions() *questions {
	return &questions{asking: make(chan *asked, maxOpen), open: map[int64]*asked{}}
}

func (qs *questions) ask(ctx context.Context, gone <-chan struct{}, q inquiry.Question) (inquiry.Answer, error) {
	a := &asked{question: q, givenUp: ctx.Done(), answer: make(chan answered, 1)}
	qs.mu.Lock()
	if len(qs.open) >= maxOpen {
		qs.mu.Unlock()
		return inquiry.Answer{}, ErrBusy
	}
	qs.last++
	a.id = qs.last
	qs.open[a.id] = a
	qs.asking <- a // room for all that are open
	qs.mu.Unlock()
	select {
	case r := <-a.answer:
		return r.answer, r.err
	case <-gone:
		return inquiry.Answer{}, ErrNotConnected
	case <-ctx.Done():
		return inquiry.Answer{}, context.Cause(ctx)
	}
}

// send returns the message of a question, nil if nobody waits for its answer any more.
func (qs *questions) send(a *asked) *feedpb.FromServer {
	select {
	case <-a.givenUp:
		qs.take(a.id)
		return nil
	default:
	}
	return &feedpb.FromServer{Message: &feedpb.FromServer_Ask{Ask: questionToPB(a.id, a.question)}}
}

// take returns the open question with an id, and closes it.
func (qs *questions) take(id int64) *asked {
	qs.mu.Lock()
	defer qs.mu.Unlock()
	a := qs.open[id]
	delete(qs.open, id)
	return a
}

// answered hands an answer to whoever waits for it. One that came too late still closes its question.
func (qs *questions) answered(p *feedpb.Answer) error {
	a := qs.take(p.GetId())
	if a == nil {
		return malformed("answer to question %d, which is not open", p.GetId())
	}
	if problem := p.GetError(); problem != "" {
		a.answer <- answered{err: errors.New(problem[:min(len(problem), maxInquiryError)])}
		return nil
	}
	answer, err := answerFromPB(p, a.question)
	if err != nil {
		a.answer <- answered{err: errors.New("the host's answer is malformed")}
		return &malformedError{fmt.Errorf("answer: %w", err)}
	}
	a.answer <- answered{answer: answer}
	return nil
}
