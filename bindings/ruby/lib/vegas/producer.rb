# frozen_string_literal: true

module Vegas
  # Sends records to one stream. Make one per stream and share it: it is safe for use
  # by many threads. Records of a key keep the order of the calls.
  class Producer
    BURST = 64 << 10 # bytes after which a sender lets the engine have its turn,
    PAUSE = 0.005    # and seconds
    MOST_BYTES = 1 << 20 # of a frame of several records
    NOTHING = ''.b.freeze
    RENEWAL = Mutex.new
    DURABLE = [nil, nil].freeze # the place of what is in a durable buffer

    attr_reader :stream

    # A stream is a name or an ARN. Options are those of Spec::PRODUCER_OPTIONS. With
    # a block the producer is given to it and closed behind it.
    def self.open(stream, **options)
      producer = new(stream, **options)
      return producer unless block_given?

      begin
        yield producer
      ensure
        producer.close
      end
    end

    def initialize(stream, **options)
      @stream = stream.to_s
      @options = Options.read(Spec::PRODUCER_OPTIONS, options)
      @close_timeout = (@options.wire[:close_timeout] || 10_000_000) / 1_000_000.0
      @lock = Mutex.new
      @changed = ConditionVariable.new # results, room and frames that were taken
      @pending = []     # batches that have not crossed
      @pending_cost = 0
      @last_cost = 0    # of the last one of them
      @accepted = 0     # records ever
      @open = []        # batches that crossed and have records without a result
      @open_cost = 0
      @failures = Failures.new(@stream)
      @burst = 0        # bytes since this producer's last turn
      @turn = 0.0
      @errand = Errand.new("vegas #{@stream} results")
      connect
    end

    # Sends a record and gives a Delivery back, without waiting for it: its value is
    # the Receipt. Waits while there is no room. With a block that is called with the
    # receipt and the error, one of which is nil, by a thread of the producer's; blocks
    # of one producer run one after the other.
    #
    # A key has 1 to 256 characters. Data is a string, taken as bytes. Headers are a
    # hash, or pairs, of strings.
    def send(key, data, headers: nil, explicit_hash_key: nil, &callback)
      raise ClosedError, "the producer of #{@stream} is closed" if @closed

      renew if @forked
      key = key_bytes(key)
      raise BadOptionError, "the data is #{data.class}: want a String" unless data.is_a?(String)

      data = data.b
      headers = headers ? Headers.encode(headers) : NOTHING
      hash_key = explicit_hash_key ? digits(explicit_hash_key) : NOTHING
      cost = key.bytesize + hash_key.bytesize + headers.bytesize + data.bytesize + @record_cost
      batch = index = nil
      @lock.synchronize do
        @changed.wait(@lock) until room?(cost) || @gone || @closed
        raise @gone if @gone
        raise ClosedError, "the producer of #{@stream} is closed" if @closed

        @pending_cost += cost # first: what is counted and interrupted is forgotten when all has crossed
        batch = last_batch(cost)
        index = batch.add(key, hash_key, headers, data, callback)
        @accepted += 1
      end
      tell unless @told
      take_turns(cost)
      Delivery.new(batch, index)
    end

    alias produce send

    # Waits until all records that were sent before have a result, and raises the first
    # failure that nobody has looked at. Gives the number of records that are left in a
    # durable buffer; without one, records that have no result at the timeout, in
    # seconds, are a TimeoutError.
    def flush(timeout = nil)
      renew if @forked
      limit = timeout && (Session.now + timeout)
      crossing = crossed(limit)
      left = crossing ? ask(Spec::METHOD_FLUSH, limit) : @lock.synchronize { unfinished }
      settle
      raise TimeoutError, "#{@stream}: #{left} records have no result after #{timeout} s" if left.positive? && !durable?

      left
    end

    # Like flush, and ends the producer. At the timeout, by default the option
    # close_timeout, what is open is reported as it is: unknown, not stored, or left in
    # the durable buffer; their number is given.
    def close(timeout = @close_timeout)
      left = shut(timeout)
      settle
      left
    end

    def closed?
      @closed
    end

    # Raises what is wrong with the stream, the credentials or the network.
    def check
      request(Spec::METHOD_CHECK)
      nil
    end

    # What the producer counts, by the names of the metrics.
    def stats
      request(Spec::METHOD_STATS)['stats']
    end

    def inspect
      "#<#{self.class} #{@stream}#{' closed' if @closed}>"
    end

    # For Delivery: waits for its result.
    def await(delivery, timeout)
      limit = timeout && (Session.now + timeout)
      @lock.synchronize do
        @waiters = @waiters.to_i + 1
        until delivery.done?
          left = limit && (limit - Session.now)
          return false if left && left <= 0

          @changed.wait(@lock, left)
        end
        true
      ensure
        @waiters -= 1
      end
    end

    # For the session, whose writing thread calls it: the next frame's body.
    def take(session)
      return unless session == @session

      @lock.synchronize do
        batch = fitting
        @told = false unless batch
        next unless batch

        batch.first = @next_number
        @next_number += batch.count
        @open << batch
        @changed.broadcast
        batch.body(@number)
      end
    end

    # For the engine, whose session's reading thread calls the following.

    def reported(body)
      _, groups = body.unpack('VV')
      at = 8
      results = []
      @lock.synchronize do
        groups.times do
          status, size, count = body.unpack('CxvV', offset: at)
          text = body.byteslice(at + 8, size)
          at += 8 + size
          raise Value::Malformed, "report: #{count} records in #{body.bytesize} bytes" if at + (16 * count) > body.bytesize

          results_of(status, text, body.unpack("q<#{2 * count}", offset: at), results)
          at += 16 * count
        end
        @changed.broadcast
      end
      tell if pending?
      call_back(results)
    end

    def stats_came(stats)
      on_stats = @options.host[:on_stats]
      @errand.offer { on_stats.call(stats) } if on_stats
    end

    # The engine has died. What has not crossed will, to the next one, unless it is not to
    # follow what is unknown.
    def lost(error)
      unknown = error.class.new("the engine died before it told what became of the record: #{error.text}",
                                remedy: ('if the durable buffer has it, the next engine sends it' if durable?), unknown: true)
      results = []
      @lock.synchronize do
        @session = nil
        follow = @open.empty? || @options.wire[:on_failure] != 'fail_key'
        @open.each { |batch| fail_all(batch, unknown, results) }
        forget_pending(EarlierFailedError.new('the results of earlier records are unknown, since the engine has ended'), results) unless follow
        @open.clear
        @open_cost = 0
        @changed.broadcast
      end
      call_back(results)
    end

    # A producer that is closing is opened for what has not crossed.
    def open_again(session)
      connect_session(session) unless @connecting || (@closed && !@lock.synchronize { pending? })
    rescue EngineGoneError
      nil # this one has died as well, and the next one is told
    rescue VegasError => e
      gave_up(e)
    end

    # There will be no engine any more.
    def gave_up(error)
      results = []
      @lock.synchronize do
        @gone = error
        forget_pending(error, results)
        @changed.broadcast
      end
      call_back(results)
    end

    # The process ends.
    def finish
      left = shut(@close_timeout)
      failed, count = @failures.take
      @failures.log(failed, count) if failed
      if left.positive?
        where = durable? ? 'stay in the durable buffer' : 'have no result'
        Vegas.logger.add(durable? ? Logger::INFO : Logger::ERROR, "#{@stream}: #{left} records #{where} at the end of the program")
      end
    rescue VegasError => e
      Vegas.logger.error { "#{@stream}: close: #{e.message}" }
    end

    # In a forked child: what the parent has under way is the parent's.
    def abandon
      error = EngineGoneError.new('the record was sent by the parent process, which learns what became of it', unknown: true)
      (waiting + @open).each { |batch| batch.fail_all(error) { nil } }
      @sealed = nil
      @pending = []
      @open = []
      @failures = Failures.new(@stream)
      @session = @number = nil
      @forked = true
      @errand = Errand.new("vegas #{@stream} results")
    end

    private

    def connect
      @connecting = true
      @engine = Engine.current(@options.host[:engine])
      @engine.open { |session| connect_session(session) }
    ensure
      @connecting = false
    end

    # A child of a fork uses an engine of its own.
    def renew
      raise ClosedError, "the producer of #{@stream} is closed" if @closed

      RENEWAL.synchronize do
        return unless @forked

        @pending_cost = @open_cost = 0
        @gone = nil
        connect
        @forked = false
      end
    end

    # Opens the producer in a session. Each time it is one of a number of its own.
    def connect_session(session)
      number = @engine.number
      @engine.keep(:producer, number, self)
      opened = session.call(Spec::METHOD_OPEN_PRODUCER, { producer: number, stream: @stream, options: @options.wire })
      return part(session, number) if @lock.synchronize do
        @engine.release(:producer, @number) if @number
        @number = number
        @window = opened['window_bytes']
        @record_cost = opened['record_cost']
        @next_number = 0
        @session = session
        @changed.broadcast
        @left
      end

      tell
    rescue VegasError
      @engine.release(:producer, number)
      raise
    end

    # It was given up while this session opened it.
    def part(session, number)
      session.call(Spec::METHOD_CLOSE_PRODUCER, { producer: number })
    ensure
      @engine.release(:producer, number)
    end

    def key_bytes(key)
      key = key.to_s if key.is_a?(Symbol)
      raise BadOptionError, "the partition key is #{key.class}: want a String" unless key.is_a?(String)

      key = key.encode(Encoding::UTF_8) unless key.encoding == Encoding::UTF_8 || key.ascii_only?
      raise BadOptionError, "the partition key #{key.inspect[0, 80]} is not UTF-8" unless key.valid_encoding?
      if key.empty? || key.length > Spec::KEY_CHARACTERS
        raise BadOptionError, "the partition key has #{key.length} characters: want 1 to #{Spec::KEY_CHARACTERS}"
      end

      key.frozen? && key.ascii_only? ? key : key.b
    rescue EncodingError => e
      raise BadOptionError, "the partition key #{key.inspect[0, 80]} is not text: #{e.message}"
    end

    # The batch that takes the next record, with @lock held.
    def last_batch(cost)
      @last_cost += cost
      return @pending.last unless @pending.empty? || @last_cost > MOST_BYTES

      @last_cost = cost
      @pending << (batch = Batch.new(self))
      batch
    end

    # Lets the session's writer come for what is pending. An interrupt between the two
    # steps leaves it to the next turn, or to flush and close.
    def tell
      @told = true
      @session&.records(self)
    end

    def digits(hash_key)
      digits = hash_key.to_s.b
      raise BadOptionError, "the explicit hash key #{digits[0, 80]} has more than 39 digits" if digits.bytesize > 39

      digits
    end

    def durable?
      !@options.wire[:durable].to_s.empty?
    end

    def room?(cost)
      used = @open_cost + (pending? ? @pending_cost : 0)
      used <= 0 || used + cost <= @window
    end

    # Lets the other threads have their turn now and then: a thread that computes keeps
    # them out for a tenth of a second otherwise.
    def take_turns(cost)
      @burst += cost
      return if @burst < BURST && @accepted.anybits?(7) # reading the clock takes a while itself

      now = Session.now
      return if @burst < BURST && now - @turn < PAUSE

      @burst = 0
      @turn = now
      tell
      Thread.pass
    end

    # The next batch, if the window allows, with @lock held.
    def fitting
      batch = @sealed || @pending.shift or return
      unless @sealed
        batch.seal(@record_cost)
        @sealed = batch
      end
      return if @open_cost.positive? && @open_cost + batch.cost > @window

      @sealed = nil
      @pending_cost = pending? ? [@pending_cost - batch.cost, 0].max : 0
      @open_cost += batch.cost
      batch.count.positive? ? batch : fitting
    end

    def pending?
      @sealed || !@pending.empty?
    end

    def waiting
      [*@sealed, *@pending]
    end

    # What has not crossed will not, with @lock held.
    def forget_pending(error, results)
      waiting.each { |batch| fail_all(batch, error, results) }
      @sealed = nil
      @pending = []
      @pending_cost = 0
    end

    # Results of one group, with @lock held.
    def results_of(status, text, rows, results)
      if [Spec::STATUS_STORED, Spec::STATUS_DURABLE].include?(status)
        place = status == Spec::STATUS_STORED ? text.split("\0", 2).each { |t| t.force_encoding(Encoding::UTF_8) }.freeze : DURABLE
      else
        error = Session.failure(Value.decode(text))
      end
      at = 0
      batch = nil
      while at < rows.size # each_slice would make an array of each
        number = rows[at]
        batch = batch_of(number) unless batch && number >= batch.first && number < batch.first + batch.count
        at += 2
        next unless batch

        conclude(batch, number - batch.first, error || place, rows[at - 1], results)
        @open.delete(batch) if batch.open.zero? # the first one may be open for long
      end
    end

    # With @lock held. Records of a batch may end behind those of later ones.
    def batch_of(number)
      batch = @open[(@open.bsearch_index { |b| b.first > number } || @open.size) - 1]
      batch if batch && number >= batch.first && number < batch.first + batch.count
    end

    # With @lock held.
    def conclude(batch, index, result, sub, results)
      cost = batch.finish(index, result, sub) or return
      @open_cost -= cost
      if batch.callback(index)
        results << [batch, index]
      elsif result.is_a?(VegasError)
        @failures.add(Delivery.new(batch, index))
      end
    end

    # With @lock held.
    def fail_all(batch, error, results)
      batch.fail_all(error) { |i| batch.callback(i) ? results << [batch, i] : @failures.add(Delivery.new(batch, i)) }
    end

    def call_back(results)
      results.each do |batch, index|
        delivery = Delivery.new(batch, index)
        @errand.call { batch.callback(index).call(delivery.receipt, delivery.failure) }
      end
    end

    # Raises the first failure that nobody has looked at.
    def settle
      failed, count = @failures.take
      return unless failed

      @failures.log(failed, count)
      raise failed.error
    end

    # How many records have no result, with @lock held.
    def unfinished
      @open.sum(&:open) + waiting.sum(&:size)
    end

    # Waits until all that was accepted has crossed.
    def crossed(limit)
      @lock.synchronize do
        mark = waiting.last
        tell
        while mark && waiting.include?(mark)
          left = limit && (limit - Session.now)
          return false if left && left <= 0

          @changed.wait(@lock, left)
        end
        true
      end
    end

    # Calls the engine, as soon as it has the producer.
    def request(method)
      renew if @forked
      session, number = @lock.synchronize do
        @changed.wait(@lock) until @session || @gone || @closed
        [@session, @number]
      end
      raise @gone || ClosedError.new("the producer of #{@stream} is closed") unless session

      session.call(method, { producer: number })
    end

    # Asks for the end of what has crossed, and gives the number of what is left.
    def ask(method, limit)
      session, number = @lock.synchronize { [@session, @number] }
      return 0 unless session # each record that was in it has been told

      arguments = { producer: number }
      arguments[:timeout] = ([limit - Session.now, 0].max * 1_000_000).to_i if limit
      session.call(method, arguments)['left'].to_i
    rescue EngineGoneError
      @lock.synchronize { @changed.wait(@lock, 1) if @session == session } # until they are
      0
    end

    def shut(timeout)
      return 0 if @forked && @closed

      renew if @forked
      already = @lock.synchronize do
        was = @closed
        @closed = true
        @changed.broadcast
        was
      end
      return 0 if already

      limit = timeout && (Session.now + timeout)
      begin
        crossed(limit)
        left = ask(Spec::METHOD_CLOSE_PRODUCER, limit)
      ensure
        back = give_back
      end
      @engine.release(:producer, @number)
      @errand.finish(timeout)
      left + back
    end

    # Records that have not crossed, and will not.
    def give_back
      results = []
      error = ClosedError.new("the producer of #{@stream} is closed, and the record was not sent")
      count = @lock.synchronize do
        @left = true
        waiting.sum(&:size).tap { forget_pending(error, results) }
      end
      call_back(results)
      count
    end
  end
end
