// An actor that lives on a reactor's thread: messages to it go into the reactor's inbox (one wake-up for a burst) and
// are handled there, beside the socket it belongs to, without a lock.
#pragma once

#include "runtime/core/reactor_post.hpp"

#include <caf/actor_companion.hpp>
#include <caf/actor_system.hpp>
#include <caf/scoped_execution_unit.hpp>
#include <memory>

namespace weir::actors {

// Made, used and destroyed on the reactor's thread, or while the reactor does not run.
class reactor_companion {
public:
  reactor_companion(caf::actor_system& system, reactor& home)
      : shared_(std::make_shared<shared>(&system)),
        companion_(caf::actor_cast<caf::strong_actor_ptr>(system.spawn<caf::actor_companion>())) {
    self()->on_enqueue([&home, keep = shared_, raw = self()](caf::mailbox_element_ptr element) {
      // Called by the sender's thread. A task must be copyable; the element is not.
      auto boxed = std::make_shared<caf::mailbox_element_ptr>(std::move(element));
      auto alive = caf::actor_cast<caf::strong_actor_ptr>(raw);
      post(home, [keep, raw, alive = std::move(alive), boxed = std::move(boxed)] {
        if (keep->open)
          raw->activate(&keep->unit, **boxed);
      });
    });
  }

  ~reactor_companion() {
    shared_->open = false;
    self()->on_enqueue({});
    self()->cleanup(caf::error{}, &shared_->unit);
  }

  reactor_companion(const reactor_companion&) = delete;
  reactor_companion& operator=(const reactor_companion&) = delete;

  template <class... Handlers>
  void become(Handlers... handlers) {
    self()->become(caf::behavior{std::move(handlers)...});
  }

  template <class Handle>
  Handle as() const {
    return caf::actor_cast<Handle>(companion_);
  }

private:
  struct shared {
    explicit shared(caf::actor_system* system) : unit(system) {}
    caf::scoped_execution_unit unit;
    bool open = true; // on the reactor's thread only
  };

  caf::actor_companion* self() const {
    return static_cast<caf::actor_companion*>(caf::actor_cast<caf::abstract_actor*>(companion_));
  }

  std::shared_ptr<shared> shared_;
  caf::strong_actor_ptr companion_;
};

} // namespace weir::actors
