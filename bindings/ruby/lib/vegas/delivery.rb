# frozen_string_literal: true

module Vegas
  # Where a record is: its shard and sequence number, and its index if it travelled
  # in an aggregate. Durable says that it is safe in the engine's durable buffer, and
  # will be stored at a place that is not known yet.
  Receipt = Struct.new(:shard, :sequence, :sub_sequence, :durable, keyword_init: true) do
    alias_method :durable?, :durable
  end

  # What Producer#send gives back: the result of one record, once there is one.
  class Delivery
    def initialize(batch, index)
      @batch = batch
      @index = index
    end

    # Waits for the result: a Receipt, or the error is raised. Nil if there is none
    # within the timeout, in seconds.
    def value(timeout = nil)
      return unless wait(timeout)

      error = self.error
      raise error if error

      receipt
    end

    # Whether there is a result, waiting for it at most so many seconds.
    def wait(timeout = nil)
      done? || @batch.producer.await(self, timeout)
    end

    def done?
      !result.nil?
    end

    # Why the record was not stored, or may not have been; nil without a result, and
    # if it was stored.
    def error
      error = failure
      @batch.look(@index) if error
      error
    end

    # Where the record was stored; nil otherwise.
    def receipt
      place = result
      return if place.nil? || place.is_a?(VegasError)

      shard, sequence = place
      Receipt.new(shard: shard, sequence: sequence, sub_sequence: @batch.sub(@index), durable: shard.nil?)
    end

    def inspect
      "#<#{self.class} #{done? ? (failure || receipt).inspect : 'open'}>"
    end

    # For the producer: the error, which nobody has looked at by that.
    def failure
      result.is_a?(VegasError) ? result : nil
    end

    def overlooked?
      @batch.overlooked?(@index)
    end

    private

    def result
      @batch.result(@index)
    end
  end
end
