# frozen_string_literal: true

module Vegas
  # A thread that calls functions of the program one after the other, so that what
  # they do holds up nobody else. It starts with the first one.
  class Errand
    # Of what nobody waits for, more than that is dropped.
    MOST = 100_000

    def initialize(name)
      @name = name
      @queue = Queue.new
      @lock = Mutex.new
    end

    def call(&work)
      @lock.synchronize { @thread ||= start }
      @queue << work
    rescue ClosedQueueError
      nil # it has finished
    end

    # Like call, for what may be missed.
    def offer(&work)
      call(&work) if @queue.size < MOST
    end

    # Waits until what was asked for has been done.
    def finish(timeout)
      return unless @thread && @thread != Thread.current

      @queue.close
      @thread.join(timeout)
    end

    private

    def start
      Thread.new do
        Thread.current.name = @name
        while (work = @queue.pop)
          begin
            work.call
          rescue StandardError => e
            Vegas.logger.error { "#{@name}: a function of the program failed: #{e.full_message(highlight: false)}" }
          end
        end
      end
    end
  end
end
