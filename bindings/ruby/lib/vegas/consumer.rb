# frozen_string_literal: true

module Vegas
  # Hands the records of a stream to a block, as a worker of a group: the shards are
  # shared out among the workers of the group, and each record is handed to one of
  # them. It runs at once.
  #
  # Each shard has a thread of its own, which calls the block for one record after
  # the other; with the option parallel, for that many of different keys at once. The
  # block is done with a record when it returns, and has failed if it raises.
  class Consumer
    attr_reader :stream, :group, :number, :parallel

    # A group is a name, or the ARN of an enhanced fan-out consumer. Options are those
    # of Spec::CONSUMER_OPTIONS. The handler may be given instead of a block. Without
    # either records come by #each.
    def initialize(stream, group, handler = nil, **options, &block)
      raise BadOptionError, 'give a handler or a block, not both' if handler && block
      raise BadOptionError, "the handler is #{handler.class}: want something to call" unless handler.nil? || handler.respond_to?(:call)

      @stream = stream.to_s
      @group = group.to_s
      @options = Options.read(Spec::CONSUMER_OPTIONS, options)
      @parallel = @options.wire[:parallel] || 1
      @lock = Mutex.new
      @changed = ConditionVariable.new
      @shards = {}
      @latest = {} # possessions by ids of shards, until their threads have ended
      @handler = handler || block
      @offers = SizedQueue.new(1) unless @handler # for each
      @errand = Errand.new("vegas #{@group} statistics")
      @engine = Engine.current(@options.host[:engine])
      @connecting = true
      @engine.open { |session| connect(session) }
      @connecting = false
    end

    # Waits until the consumer has ended, and raises why if it ended by itself, and
    # GraceOverError if it was closed and handlers did not end within grace. Gives
    # false if it has not within the timeout, in seconds.
    def wait(timeout = nil)
      own
      limit = timeout && (Session.now + timeout)
      @lock.synchronize do
        until @ended
          left = limit && (limit - Session.now)
          return false if left && left <= 0

          @changed.wait(@lock, left)
        end
        @seen = true
        raise @error if @error

        true
      end
    end

    alias join wait

    # Like wait, and closes the consumer if that is interrupted, as by Ctrl-C.
    def run
      wait
    ensure
      close
    end

    # Ends the consumer: no further record begins, handlers have the time of the
    # option grace to finish, and its shards go to other workers. Those that did not are
    # told of by wait. A handler may call it, and so may a trap: neither is waited for.
    def close
      return if @forked || @closed

      @closed = true
      return shut unless Thread.current.thread_variable_get(:vegas_consumer).equal?(self) || trapped?

      @closer = Thread.new { shut }
      nil
    end

    def closed?
      @closed
    end

    # Stores the position of a record, with the option checkpoint: :manual. Records
    # before it in its shard count as done.
    def checkpoint(record)
      use
      record.run.checkpoint(record)
      nil
    end

    # Raises what is wrong with the stream, the credentials or the network.
    def check
      request(Spec::METHOD_CHECK)
      nil
    end

    # What the consumer counts, by the names of the metrics.
    def stats
      request(Spec::METHOD_STATS)['stats']
    end

    # Yields records to this thread, one at a time over all shards, until the consumer
    # ends; for a Consumer without a block. A record is done with when the next one is
    # asked for, and has failed if the block raises. Leaving the block, by break or an
    # error, closes the consumer; behind a break the record comes again. Without a
    # block, an Enumerator.
    def each
      return to_enum(:each) unless block_given?
      raise BadOptionError, 'the consumer has a handler, which gets the records' unless @offers

      own
      begin
        while (offer = @offers.pop)
          record, answer = offer
          turn(answer) { yield record }
        end
        wait
      ensure
        close
      end
      self
    end

    def inspect
      "#<#{self.class} #{@stream} #{@group}#{' closed' if @closed}>"
    end

    # For shards.

    def batch?
      @options.wire[:batch]
    end

    def handle(records)
      Thread.current.thread_variable_set(:vegas_consumer, self)
      @handler ? @handler.call(records) : offer(records)
    end

    def bury(record, error)
      @options.host[:dead_letter]&.call(record, error)
    end

    # The position that the program wants a shard to start behind, or nil.
    def start_of(call)
      external = @options.host[:external] or return
      external.call(ShardStart.new(
                      shard: call['id'], stream: call['stream'], parents: call['parents'] || [], possession: call['possession'],
                      position: Position.new(call['sequence'], call['sub']), takeovers: call['takeovers']
                    ))
    end

    # For the engine, whose session's reading thread calls the following. It does not
    # wait.

    def called(session, call)
      if call['method'] == Spec::METHOD_END_SHARD
        @lock.synchronize { @shards.delete(call['shard']) }&.end
        session.answer(call['call'])
      elsif @closed
        session.answer(call['call'], error: ClosedError.new("the consumer of #{@stream} is closed"))
      else
        @lock.synchronize do
          @latest[call['id']] = @shards[call['shard']] = Shard.new(self, session, call, @latest[call['id']])
        end
      end
    end

    def delivered(body)
      @shards[body.unpack1('V', offset: 4)]&.deliver(body)
    end

    def stopped(body)
      _, shard, why = body.unpack('VVC')
      @shards[shard]&.stop(why)
    end

    def stats_came(stats)
      on_stats = @options.host[:on_stats]
      @errand.offer { on_stats.call(stats) } if on_stats
    end

    # It has ended in the engine. What follows from close is for the log, but for
    # handlers that have not ended.
    def ended(error)
      asked = @closed && !error.is_a?(GraceOverError)
      Vegas.logger.add(asked ? Logger::WARN : Logger::ERROR) { "#{@stream} #{@group}: the consumer has ended: #{error.message}" } if error
      @offers&.close
      @lock.synchronize do
        @ended = true
        @error ||= error unless asked
        @changed.broadcast
      end
    end

    # The thread of a shard has ended.
    def left(shard)
      @lock.synchronize do
        @shards.delete(shard.number) if @shards[shard.number].equal?(shard)
        @latest.delete(shard.id) if @latest[shard.id].equal?(shard)
      end
    end

    # The engine has died: handlers that run are told, and the records come again.
    def lost(_error)
      shards = @lock.synchronize do
        @session = nil
        @shards.tap { @shards = {} }
      end
      shards.each_value(&:lost)
    end

    def open_again(session)
      connect(session) unless @closed || @ended || @connecting
    rescue EngineGoneError
      nil # this one has died as well, and the next one is told
    rescue VegasError => e
      ended(e)
    end

    def gave_up(error)
      ended(error)
    end

    # The process ends.
    def finish
      close
      @closer&.join
    rescue VegasError => e
      Vegas.logger.error { "#{@stream} #{@group}: close: #{e.message}" }
    end

    # In a forked child: it is the parent's.
    def abandon
      @forked = true
      @shards = {}
    end

    private

    # Opens the consumer in a session, each time as one of a number of its own.
    def connect(session)
      number = @engine.number
      @engine.keep(:consumer, number, self)
      session.call(Spec::METHOD_OPEN_CONSUMER, { consumer: number, stream: @stream, group: @group, options: @options.wire })
      before = closed = nil
      @lock.synchronize do
        before = @number
        @number = number
        @session = session
        @changed.broadcast
        closed = @left
      end
      @engine.release(:consumer, before) if before
      part(session, number) if closed # meanwhile, and left to this call
    rescue VegasError
      @engine.release(:consumer, number)
      raise
    end

    def own
      raise ClosedError, "the consumer of #{@stream} belongs to the process that made it, before the fork" if @forked
    end

    def use
      own
      raise ClosedError, "the consumer of #{@stream} is closed" if @closed
    end

    # Calls the engine, as soon as it has the consumer.
    def request(method)
      use
      session, number = @lock.synchronize do
        @changed.wait(@lock) until @session || @ended
        [@session, @number]
      end
      use
      raise @error || ClosedError.new("the consumer of #{@stream} has ended") unless session

      session.call(method, { consumer: number })
    end

    # Whether this is a trap's, which may lock nothing.
    def trapped?
      Mutex.new.lock
      false
    rescue ThreadError
      true
    end

    def shut
      withdraw
      session, number = @lock.synchronize do
        @left = true
        [@session, @number]
      end
      part(session, number)
    ensure
      ended(nil)
      @errand.finish(1)
    end

    # Ends it in a session, if there is one.
    def part(session, number)
      session&.call(Spec::METHOD_CLOSE_CONSUMER, { consumer: number })
      nil
    rescue ClosedError, EngineGoneError
      nil # it has ended by itself
    ensure
      @engine.release(:consumer, number)
      @lock.synchronize { @shards.each_value(&:end) } # of those left behind nobody tells the end
    end

    # One turn of #each.
    def turn(answer)
      result = Shard::NotBegun.new # if it is left by break
      yield
      result = true
    rescue Exception => e # rubocop:disable Lint/RescueException -- it is raised on
      result = e unless Shard.signal?(e)
      raise
    ensure
      answer << result
    end

    # Gives a record to whoever loops over #each, and waits until it is done with.
    def offer(record)
      answer = Queue.new
      @offers << [record, answer]
      result = answer.pop
      raise result if result.is_a?(Exception)
    rescue ClosedQueueError
      raise Shard::NotBegun
    end

    # Takes back what nobody has asked for.
    def withdraw
      return unless @offers

      @offers.close
      while (offer = @offers.pop)
        offer.last << Shard::NotBegun.new
      end
    end
  end
end
