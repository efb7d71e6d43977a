package control

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/netip"
	"time"

	"millrace/cmd/internal/ctl"
	"millrace/cmd/internal/shard"
)

// This file carries out orders.

// defaultBan is the time of a ban in minutes.
const defaultBan = 60

var errNoLimits = errors.New("addresses cannot be banned while limits.active is false: set it to true and start the tracker again")

// networkOf returns what a ban of an address is about: an IPv6 address stands for its /64.
func networkOf(p netip.Prefix) netip.Prefix {
	if p.Addr().Is6() {
		p, _ = p.Addr().Prefix(64)
	}
	return p
}

// nameOf returns a network as people write it.
func nameOf(p netip.Prefix) string {
	if p.IsSingleIP() {
		return p.Addr().String()
	}
	return p.String()
}

func (h *Handler) ban(ctx context.Context, r *http.Request) (any, error) {
	p, err := addressOf(r, false)
	if err != nil {
		return nil, err
	}
	minutes, err := numberOf(r, "minutes", defaultBan, ctl.MaxBan)
	if err != nil {
		return nil, err
	}
	table := h.Addresses()
	if table == nil {
		return nil, errNoLimits
	}
	if err := h.MayBan(p.Addr()); err != nil {
		return nil, fmt.Errorf("cannot ban %s: %w", nameOf(p), err)
	}
	d := time.Duration(minutes) * time.Minute
	network := networkOf(p)
	if err := table.Ban(p.Addr(), d, h.Clock()); err != nil {
		return nil, fmt.Errorf("cannot ban %s: %w", nameOf(network), err)
	}
	h.Log("banned", nameOf(network), "minutes", minutes)
	looks, err := ask(ctx, h.Shards, shard.Expel{Client: network})
	if err != nil {
		return nil, fmt.Errorf("%s is banned, but perhaps not all of its connections have been ended: %w", nameOf(network), err)
	}
	out := ctl.Banned{Network: nameOf(network), Until: time.Now().Add(d).Truncate(time.Second)}
	for _, l := range looks {
		out.Ended += l.Ended
	}
	return out, nil
}

func (h *Handler) unban(_ context.Context, r *http.Request) (any, error) {
	p, err := addressOf(r, false)
	if err != nil {
		return nil, err
	}
	table := h.Addresses()
	if table == nil {
		return nil, errNoLimits
	}
	was := table.Unban(p.Addr(), h.Clock())
	if was {
		h.Log("banned no more", nameOf(networkOf(p)))
	}
	return ctl.Unbanned{Network: nameOf(networkOf(p)), Was: was}, nil
}

func (h *Handler) reload(ctx context.Context, _ *http.Request) (any, error) {
	if h.Left() != nil {
		return nil, errors.New("a drain is under way: nothing is read again")
	}
	select {
	case <-h.Reload():
	case <-ctx.Done():
		return nil, ctx.Err()
	}
	return ctl.Reloaded{Files: h.Files()}, nil
}

func (h *Handler) drain(_ context.Context, r *http.Request) (any, error) {
	seconds, err := numberOf(r, "seconds", 0, ctl.MaxDrain)
	if err != nil {
		return nil, err
	}
	if err := h.Drain(time.Duration(seconds) * time.Second); err != nil {
		return nil, err
	}
	return h.Left(), nil
}

func (h *Handler) drained(context.Context, *http.Request) (any, error) {
	if left := h.Left(); left != nil {
		return left, nil
	}
	return nil, errors.New("no drain is under way")
}
